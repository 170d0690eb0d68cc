/** A drop that is not run and that no receipt answers. */
import * as z from 'zod';
import { UNANSWERED, type Unanswered } from '../../contract/messages.ts';

/** The line of a day's list: one for a key, however often it was dropped on that day. */
export const ignoredDropSchema = z.object({
  v: z.literal(1),
  key: z.string(),
  why: z.enum(UNANSWERED),
  /** Name of the route that the key lies below; absent: of none. */
  route: z.exactOptional(z.string()),
  /** When it was first seen on that day, epoch milliseconds. */
  at: z.number(),
});
/** See {@link ignoredDropSchema}. */
export type IgnoredDrop = z.infer<typeof ignoredDropSchema>;

/** For so many days a line is kept. */
export const IGNORED_DAYS = 14;

const TEXTS: Readonly<Record<Unanswered, (route: string) => string>> = {
  no_route: () => 'ignored: no route has a prefix that the key begins with',
  not_matched: (route) => `ignored: it matches no glob in match of route "${route}"`,
  ignored: (route) => `ignored: it matches a glob in ignore of route "${route}"`,
  late_options: () =>
    'not read yet: its file was put before it. It counts for the next drop of that file; drop the file again',
  removed: () => 'not run: it was removed before it was recorded. Drop it again if it is to be run',
  prefix_owned: () => 'not run: its prefix belongs to another stack, which its JobCompleted event names',
};

/** Says for a person why a drop is not run. */
export function ignoredText(why: Unanswered, route: string | undefined): string {
  return TEXTS[why](route ?? '');
}
