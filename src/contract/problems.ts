/** What a schema found wrong, as text. */
import type * as z from 'zod';

/**
 * One text for each problem, `place: what was expected`. Zod's messages name no value, so nothing of the content is
 * in it.
 *
 * @param whole what the value itself is called where a problem concerns all of it.
 */
export function problemsOf({ issues }: z.ZodError, whole = 'body'): string[] {
  return issues.map(({ path, message }) => `${path.join('.') || whole}: ${message}`);
}
