/** Names the resources of a stack by what they are for. */
import type { StackPlan } from './plan.ts';

/** Last parts of a construct path that only say what kind of thing it is. */
const KINDS = new Set(['Function', 'Queue', 'Secret', 'Bucket', 'Table']);

/** The resources of a plan by role, such as `ingest` or `ingest-dead-letters`. */
export type Roles = ReturnType<typeof nameRoles>;

/** Names resources by what they are for: `Pipeline/IngestQueue/DeadLetters` is `ingest-dead-letters`. */
export function nameRoles(plan: StackPlan) {
  const of = (path: string): string => {
    const parts = path.split('/');
    if (parts.length > 1 && KINDS.has(parts.at(-1)!)) parts.pop();
    // The construct around the whole pipeline.
    if (parts.length > 1) parts.shift();
    return parts
      .map((part) => part.replace(/(?<=.)Queue$/, '').replace(/(?<=[a-z0-9])(?=[A-Z])/g, '-'))
      .join('-')
      .toLowerCase();
  };
  const byRole = <Plan extends { path: string }>(plans: readonly Plan[]): Record<string, Plan> => {
    const named: Record<string, Plan> = {};
    for (const each of plans) {
      const role = of(each.path);
      // Two of one role: the full path distinguishes them.
      named[Object.hasOwn(named, role) ? each.path : role] = each;
    }
    return named;
  };
  return {
    of,
    functions: byRole(plan.functions),
    queues: byRole(plan.queues),
    secrets: byRole(plan.secrets),
  };
}

/** The message for a function that is not there. */
export function noFunction(name: string, { functions }: Roles): string {
  return `There is no function "${name}" in the stack (there are: ${Object.keys(functions).join(', ')}).`;
}
