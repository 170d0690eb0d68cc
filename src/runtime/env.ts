import type { z } from 'zod';

/**
 * Reads a function's environment as its contract says.
 * @param env such as `process.env`; an empty variable counts as absent.
 * @throws {Error} one error that names every variable that is missing or not valid, never a value.
 */
export function parseEnv<Schema extends z.ZodObject>(
  schema: Schema,
  env: Readonly<Record<string, string | undefined>>,
): z.output<Schema> {
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value));
  const result = schema.safeParse(present);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) => {
    const name = String(path[0]);
    return `  ${name}: ${name in present ? message : 'is missing'}`;
  });
  throw new Error(
    `${problems.length} environment ${problems.length === 1 ? 'variable is' : 'variables are'} not as ` +
      `src/contract/env.ts says:\n${problems.join('\n')}`,
  );
}
