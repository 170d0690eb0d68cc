import { SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { BatchMessage, JobMessage, ObjectMessage, ObserveMessage } from '../contract/messages.ts';
import { SECOND_MS } from '../contract/time.ts';
import { BatchdropError } from '../core/base/errors.ts';
import { type Delivery, MAX_DELAY_MS, type ObserveOutbox, type Outbox } from '../core/ports/outbox.ts';

/** Where each kind of work goes. A function is given only the queues that it may send to. */
export interface QueueUrls {
  ingest?: string;
  submit?: string;
  call?: string;
  collect?: string;
  finalize?: string;
  observe?: string | undefined;
}

/** {@link Outbox} and {@link ObserveOutbox} on SQS queues. */
export class SqsOutbox implements Outbox, ObserveOutbox {
  readonly #client: SQSClient;
  readonly #queueUrls: QueueUrls;

  /**
   * @param client must have `useQueueUrlAsEndpoint: false`: the SDK would otherwise send to the host of the queue URL,
   * past a local endpoint.
   */
  constructor(client: SQSClient, names: QueueUrls) {
    this.#client = client;
    this.#queueUrls = names;
  }

  ingest(message: JobMessage | ObjectMessage, delivery?: Delivery): Promise<void> {
    return this.#send('ingest', message, delivery);
  }

  submit(message: BatchMessage, delivery?: Delivery): Promise<void> {
    return this.#send('submit', message, delivery);
  }

  call(message: BatchMessage, delivery?: Delivery): Promise<void> {
    return this.#send('call', message, delivery);
  }

  collect(message: BatchMessage, delivery?: Delivery): Promise<void> {
    return this.#send('collect', message, delivery);
  }

  finalize(message: JobMessage, delivery?: Delivery): Promise<void> {
    return this.#send('finalize', message, delivery);
  }

  observe(message: ObserveMessage, delivery?: Delivery): Promise<void> {
    return this.#send('observe', message, delivery);
  }

  async #send(queue: keyof QueueUrls, message: object, { delayMs = 0 }: Delivery = {}): Promise<void> {
    const url = this.#queueUrls[queue];
    if (url === undefined) {
      throw new BatchdropError(`this function was not given the URL of the ${queue} queue; set it in lib/`);
    }
    const delaySeconds = Math.ceil(Math.min(delayMs, MAX_DELAY_MS) / SECOND_MS);
    await this.#client.send(
      new SendMessageCommand({
        QueueUrl: url,
        MessageBody: JSON.stringify(message),
        DelaySeconds: delaySeconds > 0 ? delaySeconds : undefined,
      }),
    );
  }
}
