/** The inputs of an embeddings request: each text of an array counts, and each array of tokens; a text alone or one array of tokens is one. */
export function countEmbeddingInputs(input: unknown): number {
  if (!Array.isArray(input)) return 1;
  return input.length > 0 && typeof input[0] !== 'number' ? input.length : 1;
}
