import { type EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import {
  DROP_IGNORED,
  type DropIgnored,
  EVENT_SOURCE,
  JOB_COMPLETED,
  type JobCompleted,
} from '../contract/messages.ts';
import { BatchdropError } from '../core/base/errors.ts';
import type { DropEvents, JobEvents } from '../core/ports/outbox.ts';

/** {@link JobEvents} and {@link DropEvents} on an EventBridge bus. */
export class EventBridgeEvents implements JobEvents, DropEvents {
  readonly #client: EventBridgeClient;
  readonly #eventBus: string;

  constructor(client: EventBridgeClient, names: { eventBus: string }) {
    this.#client = client;
    this.#eventBus = names.eventBus;
  }

  /** @throws {BatchdropError} if the bus did not take the event; PutEvents answers 200 even so. */
  async completed(detail: JobCompleted): Promise<void> {
    await this.#put(JOB_COMPLETED, detail, `job ${detail.jobId}`);
  }

  /** @throws {BatchdropError} as {@link completed}. */
  async ignored(detail: DropIgnored): Promise<void> {
    await this.#put(DROP_IGNORED, detail, detail.key);
  }

  /** @param subject what the event is about, for an error. */
  async #put(type: string, detail: object, subject: string): Promise<void> {
    const { FailedEntryCount, Entries } = await this.#client.send(
      new PutEventsCommand({
        Entries: [
          {
            EventBusName: this.#eventBus,
            Source: EVENT_SOURCE,
            DetailType: type,
            Detail: JSON.stringify(detail),
          },
        ],
      }),
    );
    if ((FailedEntryCount ?? 0) > 0) {
      const failed = Entries?.find(({ ErrorCode }) => ErrorCode !== undefined);
      throw new BatchdropError(
        `the event bus ${this.#eventBus} did not take ${type} of ${subject}: ` +
          `${failed?.ErrorCode ?? 'no code'} ${failed?.ErrorMessage ?? ''}`,
      );
    }
  }
}
