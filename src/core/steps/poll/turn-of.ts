/**
 * Which of the batches that no page shows are asked for in this run: all of them get their turn, however many there
 * are.
 * @param turn grows by one from run to run.
 */
export function turnOf<Item>(items: readonly Item[], most: number, turn: number): Item[] {
  if (items.length === 0) return [];
  // Where all have their turn, each is the first one once.
  const start = (turn * (most >= items.length ? 1 : most)) % items.length;
  return [...items.slice(start), ...items.slice(0, start)].slice(0, most);
}
