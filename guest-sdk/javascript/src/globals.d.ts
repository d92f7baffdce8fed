// What there is in the sandbox beside the language itself. For plugins in TypeScript that have neither the types of
// node nor those of browsers: `"types": ["sandbar-sdk/globals"]` in tsconfig.json.

/** Writes to the plugin's log. */
declare var console: Record<'debug' | 'trace' | 'log' | 'info' | 'warn' | 'error', (...values: unknown[]) => void>

/** The host's random bytes: the same in a replay, and so no secret. */
declare var crypto: {
  getRandomValues<T extends ArrayBufferView>(array: T): T
  randomUUID(): string
}

declare class TextEncoder {
  readonly encoding: 'utf-8'
  encode(text?: string): Uint8Array
}

/** Bytes that are not UTF-8 are an error. */
declare class TextDecoder {
  readonly encoding: 'utf-8'
  readonly fatal: true
  decode(data?: ArrayBuffer | ArrayBufferView): string
}
