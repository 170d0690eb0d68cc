/** What of a file the provider is sure to refuse, as a plan keeps it. */
import * as z from 'zod';

export const preflightFindingSchema = z.object({
  /** See `SureRefusal` in ports/provider-rules.ts; so are the next two. */
  kind: z.string(),
  problem: z.string(),
  instead: z.string(),
  requests: z.int(),
  /** Numbers of the first lines, from 1. */
  lines: z.array(z.int()),
});
/** What was found of one kind of refusal. */
export type PreflightFinding = z.infer<typeof preflightFindingSchema>;

/** A finding as a sentence, after its kind. */
export function findingText({ problem, instead, requests, lines }: PreflightFinding): string {
  const more = requests - lines.length;
  const named = `${lines.length === 1 ? 'Line' : 'Lines'} ${lines.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
  return `${named}: ${problem} ${instead}`;
}
