package every;

import java.util.Arrays;
import org.teavm.interop.Address;
import org.teavm.interop.Export;
import org.teavm.interop.Import;

/**
 * The plugin `every`, as far as the cases go: `{"do": "count"}` or `{"do": "timer"}` says what it does. It has world
 * `record-processor` by hand, as `examples/languages/java` has it, where the rules of places and pointers are told.
 */
public final class Every {
    private static final int COUNT = 0, LATER = 0, EVENTS = 0, OUT = 0;
    private static final int DEAD_LETTER = 1, COORDINATES_AND_HEADERS = 3;

    @Import(module = "sandbar:plugin/state@0.1.0", name = "get")
    private static native void get(int store, int result);

    @Import(module = "sandbar:plugin/state@0.1.0", name = "put")
    private static native void put(int store, int value, int valueSize);

    @Import(module = "sandbar:plugin/timers@0.1.0", name = "set")
    private static native void setTimer(int timer, long at);

    @Import(module = "sandbar:plugin/output@0.1.0", name = "measure")
    private static native void measure(int metric, double value);

    @Import(module = "sandbar:plugin/output@0.1.0", name = "emit")
    private static native void emit(
            int output, int hasKey, int key, int keySize, int hasValue, int value, int valueSize,
            int hasTimestamp, long timestamp, int headers, int headerCount);

    private static boolean counts;

    /** What the plugin is, and what it keeps. */
    @Export(name = "describe")
    public static int describe() {
        int description = room(68), outputs = room(8), stores = room(48), timers = room(12), metrics = room(20);
        putText(description, "every");
        putText(description + 8, "0.1.0");
        putText(outputs, "out");
        putList(description + 24, outputs, 1);
        putText(stores, "count"); // its kind is 0, a value
        putText(stores + 12, "json");
        putInt(stores + 20, 1); // the version of the schema, and the oldest that can be read
        putInt(stores + 24, 1);
        putList(description + 32, stores, 1);
        putText(timers, "later"); // its clock is 0, event time
        putList(description + 40, timers, 1);
        putText(metrics, "events"); // its kind is 0, a counter
        putText(metrics + 12, "events seen");
        putList(description + 48, metrics, 1);
        putText(description + 56, "{}"); // any configuration will do
        memory[description + 64] = COORDINATES_AND_HEADERS;
        return pointer(description);
    }

    /** The configuration is a JSON text. */
    @Export(name = "open")
    public static int open(int config, int configSize) {
        int at = place(config), result = room(12);
        counts = has(at, configSize, "\"count\"");
        if (!counts && !has(at, configSize, "\"timer\"")) {
            memory[result] = 1; // an error
            putText(result + 4, "it can do `count` and `timer`");
        }
        return pointer(result);
    }

    @Export(name = "process")
    public static int process(
            int input, int hasKey, int key, int keySize, int hasValue, int value, int valueSize,
            long timestamp, int partition, long offset, int headers, int headerCount) {
        int keyAt = place(key), result = room(20); // no error, and `done`
        measure(EVENTS, 1);
        if (hasKey == 0) {
            memory[result + 4] = 1; // `refuse`
            memory[result + 8] = DEAD_LETTER;
            putText(result + 12, "the record has no key");
        } else if (counts) {
            put(keyAt, keySize, Long.toString(next()));
        } else {
            setTimer(LATER, timestamp + 1000);
        }
        return pointer(result);
    }

    @Export(name = "fire")
    public static int fire(int timer, int key, int keySize, long at) {
        int keyAt = place(key), result = room(16); // no error
        put(keyAt, keySize, at + " " + next());
        return pointer(result);
    }

    /** Counts one more for the key. */
    private static long next() {
        int found = room(12);
        get(COUNT, pointer(found));
        long count = 1;
        if (memory[found] != 0) {
            count += number(place(getInt(found + 4)), getInt(found + 8));
        }
        String written = Long.toString(count);
        int digits = ascii(written);
        put(COUNT, pointer(digits), written.length());
        return count;
    }

    private static void put(int key, int keySize, String value) {
        int line = ascii(value);
        emit(OUT, 1, pointer(key), keySize, 1, pointer(line), value.length(), 0, 0, 0, 0);
    }

    private static boolean has(int text, int size, String wanted) {
        for (int start = text; start + wanted.length() <= text + size; start++) {
            int same = 0;
            while (same < wanted.length() && memory[start + same] == wanted.charAt(same)) {
                same++;
            }
            if (same == wanted.length()) {
                return true;
            }
        }
        return false;
    }

    // What the host and the plugin give each other lies in one array, until the call ends.

    private static final byte[] memory = new byte[2 << 20];
    private static int used;

    private static int pointer(int place) {
        return Address.ofData(memory).toInt() + place;
    }

    private static int place(int pointer) {
        return pointer - Address.ofData(memory).toInt();
    }

    /** Zeroed room for a record, whose pointer is a multiple of 8. */
    private static int room(int size) {
        int place = used + (-pointer(used) & 7);
        used = place + size;
        Arrays.fill(memory, place, used, (byte) 0);
        return place;
    }

    /** The host asks for memory for what it gives. */
    @Export(name = "cabi_realloc")
    public static int realloc(int old, int oldSize, int align, int size) {
        int place = room(size);
        System.arraycopy(memory, oldSize == 0 ? place : place(old), memory, place, Math.min(oldSize, size));
        return pointer(place);
    }

    /** The host has read the result: the memory of the call is free. */
    @Export(name = "cabi_post_describe")
    public static void afterDescribe(int result) {
        used = 0;
    }

    @Export(name = "cabi_post_open")
    public static void afterOpen(int result) {
        used = 0;
    }

    @Export(name = "cabi_post_process")
    public static void afterProcess(int result) {
        used = 0;
    }

    @Export(name = "cabi_post_fire")
    public static void afterFire(int result) {
        used = 0;
    }

    private static int ascii(String text) {
        int bytes = room(text.length());
        for (int i = 0; i < text.length(); i++) {
            memory[bytes + i] = (byte) text.charAt(i);
        }
        return bytes;
    }

    private static void putText(int at, String text) {
        putList(at, ascii(text), text.length());
    }

    private static void putList(int at, int list, int length) {
        putInt(at, pointer(list));
        putInt(at + 4, length);
    }

    private static long number(int digits, int size) {
        long number = 0;
        for (int at = digits; at < digits + size; at++) {
            number = 10 * number + memory[at] - '0';
        }
        return number;
    }

    private static void putInt(int at, int number) {
        for (int i = 0; i < 4; i++) {
            memory[at + i] = (byte) (number >> (8 * i));
        }
    }

    private static int getInt(int at) {
        int number = 0;
        for (int i = 0; i < 4; i++) {
            number |= (memory[at + i] & 0xff) << (8 * i);
        }
        return number;
    }

    /** TeaVM starts here; nothing is to be done before the host calls. */
    public static void main(String[] args) {
    }
}
