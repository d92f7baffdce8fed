package words;

import java.util.Arrays;
import org.teavm.interop.Address;
import org.teavm.interop.Export;
import org.teavm.interop.Import;

/**
 * Counts the words of each key, without an SDK: world `record-processor` by hand, by WebAssembly's canonical ABI.
 *
 * A list or a text is a pointer and a length. A record's fields lie one behind the other, each at a place that its
 * size divides. Of an option, a variant and a result, a byte says which it is; what it holds follows.
 */
public final class Words {
    private static final int WORDS = 0, MAP = 2, DEAD_LETTER = 1, KEEPS_KEY = 4;

    @Import(module = "sandbar:plugin/state@0.1.0", name = "get-entry")
    private static native void getEntry(int store, int key, int keySize, int result);

    @Import(module = "sandbar:plugin/state@0.1.0", name = "put-entry")
    private static native void putEntry(int store, int key, int keySize, int value, int valueSize);

    @Import(module = "sandbar:plugin/output@0.1.0", name = "emit")
    private static native void emit(
            int output, int hasKey, int key, int keySize, int hasValue, int value, int valueSize,
            int hasTimestamp, long timestamp, int headers, int headerCount);

    /** What the plugin is, and what it keeps. */
    @Export(name = "describe")
    public static int describe() {
        int description = room(68), outputs = room(8), words = room(48);
        putText(description, "words");
        putText(description + 8, "0.1.0");
        putText(outputs, "out");
        putList(description + 24, outputs, 1);
        putText(words, "words");
        memory[words + 8] = MAP;
        putText(words + 12, "json");
        putInt(words + 20, 1); // the version of the schema, and the oldest that can be read
        putInt(words + 24, 1);
        putList(description + 32, words, 1);
        memory[description + 64] = KEEPS_KEY;
        return pointer(description);
    }

    /** There is no configuration, so nothing can be wrong with it. */
    @Export(name = "open")
    public static int open(int config, int configSize) {
        return pointer(room(12));
    }

    @Export(name = "process")
    public static int process(
            int input, int hasKey, int key, int keySize, int hasValue, int value, int valueSize,
            long timestamp, int partition, long offset, int headers, int headerCount) {
        int keyAt = place(key), valueAt = place(value);
        int result = room(20); // no error, and `done`
        if (hasValue == 0) {
            memory[result + 4] = 1; // `refuse`
            memory[result + 8] = DEAD_LETTER;
            putText(result + 12, "the record has no value");
            return pointer(result);
        }
        for (int start = valueAt, end = valueAt + valueSize; start < end;) {
            int at = start;
            while (at < end && (memory[at] & 0xff) > 0x20) {
                at++;
            }
            if (at > start) {
                count(start, at - start, hasKey, keyAt, keySize);
            }
            start = at + 1;
        }
        return pointer(result);
    }

    /** There is no timer that could fire. */
    @Export(name = "fire")
    public static int fire(int timer, int key, int keySize, long at) {
        return pointer(room(16));
    }

    private static void count(int word, int wordSize, int hasKey, int key, int keySize) {
        int before = used, found = room(12);
        getEntry(WORDS, pointer(word), wordSize, pointer(found));
        long count = 1;
        if (memory[found] != 0) {
            count += number(place(getInt(found + 4)), getInt(found + 8));
        }
        String written = " " + count;
        int line = room(wordSize + written.length()), digits = line + wordSize + 1;
        System.arraycopy(memory, word, memory, line, wordSize);
        putAscii(line + wordSize, written);
        putEntry(WORDS, pointer(word), wordSize, pointer(digits), written.length() - 1);
        emit(0, hasKey, pointer(key), keySize, 1, pointer(line), wordSize + written.length(), 0, 0, 0, 0);
        used = before; // what one word took is free for the next
    }

    // What the host and the plugin give each other lies in one array, until the call ends. Java may move the array when
    // it makes objects: so places in it are kept, and become pointers when they are handed over.

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

    private static void putText(int at, String text) {
        int bytes = room(text.length());
        putAscii(bytes, text);
        putList(at, bytes, text.length());
    }

    private static void putAscii(int at, String text) {
        for (int i = 0; i < text.length(); i++) {
            memory[at + i] = (byte) text.charAt(i);
        }
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
