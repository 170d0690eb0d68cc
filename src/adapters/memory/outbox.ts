import type { BatchMessage, JobCompleted, JobMessage, ObjectMessage } from '../../contract/messages.ts';
import type { JobEvents, Outbox } from '../../core/ports.ts';

/** One message and the queue that it is in. */
export type QueuedMessage =
  | { queue: 'ingest'; message: JobMessage | ObjectMessage }
  | { queue: 'finalize'; message: JobMessage }
  | { queue: 'submit' | 'call' | 'collect'; message: BatchMessage };

/** {@link Outbox} in memory: one list that a test or a simulation takes from. */
export class MemoryOutbox implements Outbox {
  /** Oldest first. Whoever delivers a message removes it. */
  readonly messages: QueuedMessage[] = [];

  async ingest(message: JobMessage | ObjectMessage): Promise<void> {
    this.messages.push({ queue: 'ingest', message: structuredClone(message) });
  }

  async submit(message: BatchMessage): Promise<void> {
    this.messages.push({ queue: 'submit', message: structuredClone(message) });
  }

  async call(message: BatchMessage): Promise<void> {
    this.messages.push({ queue: 'call', message: structuredClone(message) });
  }

  async collect(message: BatchMessage): Promise<void> {
    this.messages.push({ queue: 'collect', message: structuredClone(message) });
  }

  async finalize(message: JobMessage): Promise<void> {
    this.messages.push({ queue: 'finalize', message: structuredClone(message) });
  }
}

/** {@link JobEvents} in memory. */
export class MemoryEvents implements JobEvents {
  /** Oldest first. */
  readonly sent: JobCompleted[] = [];

  async completed(detail: JobCompleted): Promise<void> {
    this.sent.push(structuredClone(detail));
  }
}
