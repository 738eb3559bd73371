import java.io.*;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;

/**
 * Reads keys, one a line, and prints where Kafka's Java producer puts each: the key, then its partition for each count of
 * partitions that is named, by tabs.
 * Usage: KeyPartitions COUNT...
 */
public class KeyPartitions {
  public static void main(String[] counts) throws IOException {
    BufferedReader keys = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    for (String key = keys.readLine(); key != null; key = keys.readLine()) {
      StringBuilder line = new StringBuilder(key);
      for (String count : counts) {
        byte[] bytes = key.getBytes(StandardCharsets.UTF_8);
        line.append('\t').append(BuiltInPartitioner.partitionForKey(bytes, Integer.parseInt(count)));
      }
      out.print(line.append('\n'));
    }
    out.flush();
  }
}
