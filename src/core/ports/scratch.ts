/** Local storage for a moment: a batch's result lines, while they are brought into input order. */
export interface Scratch {
  /** Opens an empty file. */
  open(): Promise<ScratchFile>;
}

/** Bytes that are appended, then read at random. */
export interface ScratchFile {
  /** How many bytes may be appended in all. */
  readonly roomBytes: number;
  /** `bytes` may be used again once this returns. */
  append(bytes: Uint8Array): Promise<void>;
  /** Fills `into` with the bytes from `offset` on. */
  read(offset: number, into: Uint8Array): Promise<void>;
  /** Removes the file. */
  dispose(): Promise<void>;
}
