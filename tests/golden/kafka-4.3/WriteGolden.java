import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.*;

/**
 * Fills a topic of one partition with Kafka's own producer, one or more batches for each codec, and prints what Kafka's own
 * consumer reads back: one JSON line a record, in the form of `weir consume -J`.
 * Usage: WriteGolden HOST:PORT TOPIC
 */
public class WriteGolden {
  static final long FIRST_TIMESTAMP = 1_700_000_000_000L;
  static final byte[] NOT_UTF8 = {(byte) 0xff, 0, (byte) 0xfe, (byte) 0xc3, 0x28};

  static String bootstrap, topic;
  static long sent;

  public static void main(String[] args) throws Exception {
    bootstrap = args[0];
    topic = args[1];
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
      NewTopic request = new NewTopic(topic, 1, (short) 1).configs(Map.of("retention.ms", "-1"));
      admin.createTopics(List.of(request)).all().get();
    }
    for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
      try (Producer<byte[], byte[]> producer = producer(codec, true)) {
        sendBatch(producer, kinds(codec));
        sendBatch(producer, similar(codec, 40));
      }
    }
    try (Producer<byte[], byte[]> producer = producer("none", false)) {
      sendBatch(producer, kinds("no producer id"));
    }
    printAll();
  }

  static Producer<byte[], byte[]> producer(String codec, boolean idempotent) {
    Map<String, Object> settings = new HashMap<>();
    settings.put("bootstrap.servers", bootstrap);
    settings.put("compression.type", codec);
    settings.put("enable.idempotence", idempotent);
    settings.put("linger.ms", 60_000);
    return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
  }

  /** The long linger puts all of them into one batch, which the flush sends. */
  static void sendBatch(Producer<byte[], byte[]> producer, List<ProducerRecord<byte[], byte[]>> records) throws Exception {
    List<java.util.concurrent.Future<RecordMetadata>> results = new ArrayList<>();
    for (var record : records) results.add(producer.send(record));
    producer.flush();
    for (var result : results) result.get();
  }

  /** Every kind of record: null, empty and binary keys and values, headers that are null, empty, binary or come twice. */
  static List<ProducerRecord<byte[], byte[]>> kinds(String word) {
    return List.of(
        record(text("user-42"), text(word)),
        record(null, text("no key, " + word)),
        record(text("user-42"), null),
        record(null, null),
        record(new byte[0], new byte[0]),
        record(NOT_UTF8, NOT_UTF8),
        record(text("żółw"), text("{\"word\":\"" + word + "\",\"quote\":\"\\\"\"}"), header("h", text("x")), header("h", text("y"))),
        record(text("k"), text("v"), header("null", null), header("empty", new byte[0]), header("binary", NOT_UTF8)));
  }

  /** Records that compress well. */
  static List<ProducerRecord<byte[], byte[]>> similar(String word, int count) {
    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
    for (int n = 0; n < count; n++) {
      records.add(record(text("key-" + n % 7), text((word + " ").repeat(12) + n), header("number", text("" + n))));
    }
    return records;
  }

  static ProducerRecord<byte[], byte[]> record(byte[] key, byte[] value, Header... headers) {
    // Steps of different size and sign: timestamps need not rise.
    long timestamp = FIRST_TIMESTAMP + sent * 10 - (sent % 3) * 15;
    sent++;
    return new ProducerRecord<>(topic, 0, timestamp, key, value, List.of(headers));
  }

  static Header header(String key, byte[] value) { return new RecordHeader(key, value); }

  static byte[] text(String text) { return text.getBytes(StandardCharsets.UTF_8); }

  static void printAll() {
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap);
    TopicPartition partition = new TopicPartition(topic, 0);
    try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      consumer.assign(List.of(partition));
      consumer.seekToBeginning(List.of(partition));
      for (long seen = 0; seen < sent; ) {
        for (var record : consumer.poll(Duration.ofSeconds(1))) {
          print(out, record);
          seen++;
        }
      }
    }
    out.flush();
  }

  static void print(PrintStream out, ConsumerRecord<byte[], byte[]> record) {
    List<String> headers = new ArrayList<>();
    for (Header header : record.headers()) {
      headers.add("{\"key\":" + quoted(header.key()) + "," + bytes("value", header.value()) + "}");
    }
    out.print("{\"topic\":" + quoted(record.topic()) + ",\"partition\":" + record.partition() + ",\"offset\":" + record.offset()
        + ",\"timestamp\":" + record.timestamp() + ",\"timestamp_type\":\"create\"," + bytes("key", record.key()) + ","
        + bytes("value", record.value()) + ",\"headers\":[" + String.join(",", headers) + "]}\n");
  }

  /** A field of bytes: text where it is UTF-8, else base64 that says so. */
  static String bytes(String field, byte[] bytes) {
    String name = "\"" + field + "\":";
    if (bytes == null) return name + "null";
    try {
      return name + quoted(StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString());
    } catch (CharacterCodingException e) {
      return name + "\"" + Base64.getEncoder().encodeToString(bytes) + "\",\"" + field + "_encoding\":\"base64\"";
    }
  }

  static String quoted(String text) {
    return "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
  }
}
