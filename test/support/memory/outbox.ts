import type {
  BatchMessage,
  DropIgnored,
  JobCompleted,
  JobMessage,
  ObjectMessage,
  ObserveMessage,
} from '../../../src/contract/messages.ts';
import type {
  Delivery,
  DropEvents,
  JobEvents,
  ObserveOutbox,
  Outbox,
} from '../../../src/core/ports/outbox.ts';
import { plainCopy } from '../plain-copy.ts';

/** One message and the queue that it is in. */
export type QueuedMessage = (
  | { queue: 'ingest'; message: JobMessage | ObjectMessage }
  | { queue: 'finalize'; message: JobMessage }
  | { queue: 'submit' | 'call' | 'collect'; message: BatchMessage }
  | { queue: 'observe'; message: ObserveMessage }
) & {
  /** To be delivered so much later; absent: at once. The deliverer keeps the time. */
  delayMs?: number;
};

/** {@link Outbox} and {@link ObserveOutbox} in memory: one list that a test or a simulation takes from. */
export class MemoryOutbox implements Outbox, ObserveOutbox {
  /** Oldest first. The one that delivers a message removes it. */
  readonly messages: QueuedMessage[] = [];

  async ingest(message: JobMessage | ObjectMessage, delivery?: Delivery): Promise<void> {
    this.messages.push({ queue: 'ingest', message: plainCopy(message), ...delayOf(delivery) });
  }

  async submit(message: BatchMessage, delivery?: Delivery): Promise<void> {
    this.messages.push({ queue: 'submit', message: plainCopy(message), ...delayOf(delivery) });
  }

  async call(message: BatchMessage, delivery?: Delivery): Promise<void> {
    this.messages.push({ queue: 'call', message: plainCopy(message), ...delayOf(delivery) });
  }

  async collect(message: BatchMessage, delivery?: Delivery): Promise<void> {
    this.messages.push({ queue: 'collect', message: plainCopy(message), ...delayOf(delivery) });
  }

  async finalize(message: JobMessage, delivery?: Delivery): Promise<void> {
    this.messages.push({ queue: 'finalize', message: plainCopy(message), ...delayOf(delivery) });
  }

  async observe(message: ObserveMessage, delivery?: Delivery): Promise<void> {
    this.messages.push({ queue: 'observe', message: plainCopy(message), ...delayOf(delivery) });
  }
}

function delayOf({ delayMs = 0 }: Delivery = {}): { delayMs?: number } {
  return delayMs > 0 ? { delayMs } : {};
}

/** {@link JobEvents} and {@link DropEvents} in memory. */
export class MemoryEvents implements JobEvents, DropEvents {
  /** Oldest first. */
  readonly sent: JobCompleted[] = [];
  /** Oldest first. */
  readonly ignoredDrops: DropIgnored[] = [];

  async completed(detail: JobCompleted): Promise<void> {
    this.sent.push(plainCopy(detail));
  }

  async ignored(detail: DropIgnored): Promise<void> {
    this.ignoredDrops.push(plainCopy(detail));
  }
}
