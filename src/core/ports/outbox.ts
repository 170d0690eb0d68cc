/** Messages to the next step, and events for those who drop files. */
import type {
  BatchMessage,
  DropIgnored,
  JobCompleted,
  JobMessage,
  ObjectMessage,
  ObserveMessage,
} from '../../contract/messages.ts';
import { MINUTE_MS } from '../../contract/time.ts';

/**
 * The longest that a queue holds a message back, in ms; a longer wait is left to the sweep. Source: SQS API reference,
 * SendMessage, DelaySeconds.
 */
export const MAX_DELAY_MS = 15 * MINUTE_MS;

/** When a message is delivered. */
export interface Delivery {
  /** Not before so many milliseconds have passed; {@link MAX_DELAY_MS} at most. @default 0 */
  delayMs?: number;
}

/** Hands work to the next function; delivered at least once, in any order. */
export interface Outbox {
  /** Takes a job up again whose ingest did not end, or looks at an object that has no job. */
  ingest(message: JobMessage | ObjectMessage, delivery?: Delivery): Promise<void>;
  submit(message: BatchMessage, delivery?: Delivery): Promise<void>;
  /** Calls the requests of a slice, one by one. */
  call(message: BatchMessage, delivery?: Delivery): Promise<void>;
  collect(message: BatchMessage, delivery?: Delivery): Promise<void>;
  finalize(message: JobMessage, delivery?: Delivery): Promise<void>;
}

/** Hands what a webhook says to the function that looks. */
export interface ObserveOutbox {
  observe(message: ObserveMessage, delivery?: Delivery): Promise<void>;
}

/** Sends the event that a job has ended. */
export interface JobEvents {
  completed(detail: JobCompleted): Promise<void>;
}

/** Sends the event of a drop that is not run. */
export interface DropEvents {
  ignored(detail: DropIgnored): Promise<void>;
}
