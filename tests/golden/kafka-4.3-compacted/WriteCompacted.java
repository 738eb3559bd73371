import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;

/**
 * Fills a compacted topic of one partition with Kafka's own producer, waits until Kafka's cleaner has removed every record
 * that it may remove, and prints what Kafka's own consumer then reads, in the form of `weir consume -J`.
 * Usage: WriteCompacted HOST:PORT TOPIC
 */
public class WriteCompacted extends WriteGolden {
  /** A record this much later begins a new segment. */
  static final long DAY_MS = 86_400_000L;
  static final Map<String, String> SETTINGS = Map.of(
      "cleanup.policy", "compact", "min.cleanable.dirty.ratio", "0.001", "segment.ms", "" + DAY_MS / 2,
      "delete.retention.ms", "0", "retention.ms", "-1");

  /** Keys of the segments that are cleaned, with whether their last value is not null. */
  static final Map<String, Boolean> living = new HashMap<>();
  static long day;

  public static void main(String[] args) throws Exception {
    bootstrap = args[0];
    topic = args[1];
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
      admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1).configs(SETTINGS))).all().get();
    }
    for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
      try (Producer<byte[], byte[]> producer = producer(codec, true)) {
        // Of these the last five stay, in one batch with a gap before them.
        sendBatch(producer, keyed(codec + " stays", codec, 20, 5));
        // Of these none stays, but for those of the last codec.
        sendBatch(producer, keyed(codec + " goes", "shared", 12, 12));
        // Nor of these; yet it is the last batch of its producer, so that Kafka keeps it without records.
        sendBatch(producer, keyed(codec + " goes, last of its producer", "also-shared", 3, 3));
      }
    }
    try (Producer<byte[], byte[]> producer = producer("lz4", false)) {
      // What is deleted leaves a gap where the cleaned segments end.
      List<ProducerRecord<byte[], byte[]>> deletes = new ArrayList<>();
      for (int n = 0; n < 3; n++) deletes.add(keyed("also-shared-" + n, null));
      sendBatch(producer, deletes);
    }
    // Each of these begins a segment: all but the last one are cleaned. Kafka looks at deletes again, to forget them, only where
    // there is something new to clean.
    List<ConsumerRecord<byte[], byte[]>> records;
    long stay = living.values().stream().filter(lives -> lives).count() + 2;
    do {
      day++;
      try (Producer<byte[], byte[]> producer = producer("none", false)) {
        sendBatch(producer, keyed("begins a segment", "segment", 1, 1));
      }
      Thread.sleep(2_000);
      records = readAll();
      System.err.println(records.size() + " records, waiting for " + stay);
    } while (records.size() > stay);
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    records.forEach(record -> print(out, record));
    out.flush();
  }

  /** So many records, of which each key comes back after `keys` records. */
  static List<ProducerRecord<byte[], byte[]>> keyed(String word, String key, int count, int keys) {
    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
    for (int n = 0; n < count; n++) records.add(keyed(key + "-" + n % keys, word + " " + n));
    return records;
  }

  static ProducerRecord<byte[], byte[]> keyed(String key, String value) {
    living.put(key, value != null);
    var plain = record(text(key), value == null ? null : text(value), header("number", text("" + sent)));
    return new ProducerRecord<>(topic, 0, plain.timestamp() + day * DAY_MS, plain.key(), plain.value(), plain.headers());
  }

  static List<ConsumerRecord<byte[], byte[]>> readAll() {
    List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
    Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap);
    TopicPartition partition = new TopicPartition(topic, 0);
    try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      consumer.assign(List.of(partition));
      consumer.seekToBeginning(List.of(partition));
      long end = consumer.endOffsets(List.of(partition)).get(partition);
      while (consumer.position(partition) < end) consumer.poll(Duration.ofMillis(200)).forEach(records::add);
    }
    return records;
  }
}
