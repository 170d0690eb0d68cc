/** Input tokens of a request: four characters of its prompt each, as the stack's own tokenizer counts them. */
export function tokensIn(request: string): number {
  return Math.ceil((/prompt-[0-9.]+-\w+\./.exec(request)?.[0].length ?? 0) / 4);
}
