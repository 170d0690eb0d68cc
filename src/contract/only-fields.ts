import * as z from 'zod';

/** An object of these fields and no others; one that is misspelt is refused with the names that there are. */
export function onlyFields<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') return undefined;
      const unknown = (issue.keys as string[]).map((key) => JSON.stringify(key)).join(', ');
      return `${unknown} is not known here; the names are ${Object.keys(shape).join(', ')}`;
    },
  });
}
