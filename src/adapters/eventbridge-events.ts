import { type EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { EVENT_SOURCE, JOB_COMPLETED, type JobCompleted } from '../contract/messages.ts';
import { BatchdropError } from '../core/base/errors.ts';
import type { JobEvents } from '../core/ports/outbox.ts';

/** {@link JobEvents} on an EventBridge bus. */
export class EventBridgeEvents implements JobEvents {
  readonly #client: EventBridgeClient;
  readonly #eventBus: string;

  constructor(client: EventBridgeClient, names: { eventBus: string }) {
    this.#client = client;
    this.#eventBus = names.eventBus;
  }

  /** @throws {BatchdropError} if the bus did not take the event; PutEvents answers 200 even so. */
  async completed(detail: JobCompleted): Promise<void> {
    const { FailedEntryCount, Entries } = await this.#client.send(
      new PutEventsCommand({
        Entries: [
          {
            EventBusName: this.#eventBus,
            Source: EVENT_SOURCE,
            DetailType: JOB_COMPLETED,
            Detail: JSON.stringify(detail),
          },
        ],
      }),
    );
    if ((FailedEntryCount ?? 0) > 0) {
      const failed = Entries?.find(({ ErrorCode }) => ErrorCode !== undefined);
      throw new BatchdropError(
        `the event bus ${this.#eventBus} did not take ${JOB_COMPLETED} of job ${detail.jobId}: ` +
          `${failed?.ErrorCode ?? 'no code'} ${failed?.ErrorMessage ?? ''}`,
      );
    }
  }
}
