// JSON by RFC 8259, since AssemblyScript has none.
import { bytes, text } from "./sandbar";

export enum JsonKind { Null, Bool, Number, Text, Array, Object }
const DEEPEST = 128;
const NO_PARTS: Json[] = [], NO_NAMES: string[] = [];

/// A part of a document.
export class Json {
  /// Of an array or object; and the names of an object's parts.
  parts: Json[] = NO_PARTS;
  names: string[] = NO_NAMES;
  /// `written`: as it stands in the document. `text`: of a text, what it says.
  constructor(readonly kind: JsonKind, readonly written: string = "", readonly text: string = "") {}

  /// Null: this is no JSON.
  static read(document: string): Json | null {
    return new Reader(document).whole();
  }
  /// Of bytes in UTF-8, or of none.
  static of(document: ArrayBuffer | null): Json | null {
    if (!document) return null;
    const decoded = text(document), again = bytes(decoded);
    const isText = again.byteLength == document.byteLength
      && memory.compare(changetype<usize>(again), changetype<usize>(document), again.byteLength) == 0;
    return isText ? Json.read(decoded) : null;
  }

  /// The part of an object with this name, the last one if there are several.
  get(name: string): Json | null {
    const at = this.names.lastIndexOf(name);
    return at < 0 ? null : this.parts[at];
  }
  /// The part at a JSON pointer (RFC 6901).
  at(pointer: string): Json | null {
    const steps = pointer.split("/");
    let part: Json | null = this;
    for (let i = 1; i < steps.length && part; i++) {
      const step = steps[i].replaceAll("~1", "/").replaceAll("~0", "~");
      if (part.kind == JsonKind.Array) {
        const index = I32.parseInt(step);
        part = index.toString() == step && index >= 0 && index < part.parts.length ? part.parts[index] : null;
      } else {
        part = part.get(step);
      }
    }
    return part;
  }
  get isNumber(): bool { return this.kind == JsonKind.Number; }
  get number(): f64 { return F64.parseFloat(this.written); }
  get integer(): i64 { return I64.parseInt(this.written); }

  /// The part without spaces.
  toString(): string {
    const isObject = this.kind == JsonKind.Object, written = new Array<string>(this.parts.length);
    if (!isObject && this.kind != JsonKind.Array) return this.written;
    for (let i = 0; i < written.length; i++) {
      written[i] = (isObject ? quoted(this.names[i]) + ":" : "") + this.parts[i].toString();
    }
    return isObject ? "{" + written.join(",") + "}" : "[" + written.join(",") + "]";
  }
}

/// A text as JSON has it.
export function quoted(text: string): string {
  let out = '"';
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20) out += "\\u00" + (code < 16 ? "0" : "") + code.toString(16);
    else out += code == 0x22 || code == 0x5c ? "\\" + text.charAt(i) : text.charAt(i);
  }
  return out + '"';
}

/// Goes through a document. What is wrong ends it with null.
class Reader {
  at: i32 = 0;
  constructor(readonly document: string) {}

  whole(): Json | null {
    const part = this.part(0);
    this.skipSpaces();
    return this.at == this.document.length ? part : null;
  }

  part(depth: i32): Json | null {
    this.skipSpaces();
    const start = this.at, code = this.code();
    if (depth > DEEPEST) return null;
    if (code == 0x5b || code == 0x7b) return this.list(code == 0x7b, depth + 1); // [ and {
    if (code == 0x22) return this.text();
    if (this.word("true") || this.word("false")) return this.since(start, JsonKind.Bool);
    if (this.word("null")) return this.since(start, JsonKind.Null);
    return this.isNumber() ? this.since(start, JsonKind.Number) : null;
  }

  list(isObject: bool, depth: i32): Json | null {
    const list = new Json(isObject ? JsonKind.Object : JsonKind.Array), end = isObject ? "}" : "]";
    list.parts = [];
    list.names = [];
    this.at++;
    if (this.sign(end)) return list;
    do {
      if (isObject) {
        this.skipSpaces();
        const name = this.text();
        if (!name || !this.sign(":")) return null;
        list.names.push(name.text);
      }
      const part = this.part(depth);
      if (!part) return null;
      list.parts.push(part);
    } while (this.sign(","));
    return this.sign(end) ? list : null;
  }

  text(): Json | null {
    const start = this.at;
    if (!this.word('"')) return null;
    let text = "", from = this.at;
    for (; this.code() != 0x22; this.at++) {
      if (this.code() < 0x20) return null; // also the document's end
      if (this.code() != 0x5c) continue;
      text += this.document.substring(from, this.at++);
      const escaped = this.escaped();
      if (escaped < 0) return null;
      text += String.fromCharCode(escaped);
      from = this.at + 1;
    }
    text += this.document.substring(from, this.at++);
    return this.since(start, JsonKind.Text, text);
  }

  /// What stands behind a backslash; below zero: nothing that may.
  escaped(): i32 {
    const place = '"\\/bfnrtu'.indexOf(this.document.charAt(this.at));
    if (place < 0 || this.code() < 0) return -1;
    if (place < 8) return '"\\/\b\f\n\r\t'.charCodeAt(place);
    let code = 0;
    for (let i = 0; i < 4; i++) {
      this.at++;
      const digit = "0123456789abcdef".indexOf(this.document.charAt(this.at).toLowerCase());
      if (digit < 0 || this.code() < 0) return -1;
      code = code << 4 | digit;
    }
    return code;
  }

  isNumber(): bool {
    this.word("-");
    if (!this.word("0") && !this.digits()) return false;
    if (this.word(".") && !this.digits()) return false;
    if (!this.word("e") && !this.word("E")) return true;
    if (!this.word("+")) this.word("-");
    return this.digits();
  }

  digits(): bool {
    const start = this.at;
    while (this.code() >= 0x30 && this.code() <= 0x39) this.at++;
    return this.at > start;
  }

  sign(sign: string): bool {
    this.skipSpaces();
    return this.word(sign);
  }

  word(word: string): bool {
    const is = this.document.startsWith(word, this.at);
    if (is) this.at += word.length;
    return is;
  }

  skipSpaces(): void {
    while (this.code() == 0x20 || this.code() == 0x09 || this.code() == 0x0a || this.code() == 0x0d) this.at++;
  }

  /// Below zero at the end.
  code(): i32 { return this.at < this.document.length ? this.document.charCodeAt(this.at) : -1; }

  since(start: i32, kind: JsonKind, text: string = ""): Json {
    return new Json(kind, this.document.substring(start, this.at), text);
  }
}
