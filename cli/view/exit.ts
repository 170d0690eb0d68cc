/** Exit statuses of the command line. */

/** Every request succeeded. */
export const EXIT_SUCCEEDED = 0;
/** Could not run, or not to the end. */
export const EXIT_CANNOT_RUN = 1;
/** The command itself is not understood. */
export const EXIT_USAGE = 2;
/** Finished, but some requests failed or were invalid. */
export const EXIT_PARTIAL = 3;

/** What the user asked for makes no sense; the message says what would. */
export class UsageError extends Error {}

/** It cannot be done, and the message says all that there is to say; the stack itself is in order. */
export class CannotRunError extends Error {}
