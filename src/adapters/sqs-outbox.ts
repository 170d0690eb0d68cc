import { SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { BatchMessage, JobMessage, ObjectMessage } from '../contract/messages.ts';
import { BatchdropError } from '../core/errors.ts';
import type { Outbox } from '../core/ports.ts';

/** Where each kind of work goes. A function is given only the queues that it may send to. */
export interface QueueUrls {
  ingest?: string;
  submit?: string;
  call?: string;
  collect?: string;
  finalize?: string;
}

/** {@link Outbox} on SQS queues. */
export class SqsOutbox implements Outbox {
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

  ingest(message: JobMessage | ObjectMessage): Promise<void> {
    return this.#send('ingest', message);
  }

  submit(message: BatchMessage): Promise<void> {
    return this.#send('submit', message);
  }

  call(message: BatchMessage): Promise<void> {
    return this.#send('call', message);
  }

  collect(message: BatchMessage): Promise<void> {
    return this.#send('collect', message);
  }

  finalize(message: JobMessage): Promise<void> {
    return this.#send('finalize', message);
  }

  async #send(queue: keyof QueueUrls, message: object): Promise<void> {
    const url = this.#queueUrls[queue];
    if (url === undefined) {
      throw new BatchdropError(`this function was not given the URL of the ${queue} queue; set it in lib/`);
    }
    await this.#client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: JSON.stringify(message) }));
  }
}
