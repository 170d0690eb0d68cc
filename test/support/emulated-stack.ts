import { onTestFinished } from 'vitest';
import { type EmulatedStackOptions, openEmulatedStack } from './open-emulated-stack.ts';

/** Started for one test, and gone after it. */
export async function startEmulatedStack(options: EmulatedStackOptions = {}) {
  const { stop: _, close, ...stack } = await openEmulatedStack(options);
  onTestFinished(close);
  return stack;
}
