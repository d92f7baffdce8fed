/** Milliseconds or, as a configuration writes it, a whole number and one of ms, s, m, h and d: "10s". */
export type Duration = number | string

/** Its milliseconds. A text that is no duration is an error. */
export function duration(length: Duration): number
