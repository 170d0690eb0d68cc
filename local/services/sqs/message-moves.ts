/**
 * Redrive: `StartMessageMoveTask` and `ListMessageMoveTasks`, which fauxqs lacks. A task moves all visible messages at
 * once and has ended when its call answers. Source: SQS API Reference, StartMessageMoveTask, ListMessageMoveTasks.
 */
import { randomUUID } from 'node:crypto';

/** What is used of a queue. */
interface MovableQueue<Message> {
  name: string;
  attributes: Record<string, string>;
  messages: Message[];
  enqueue(message: Message): void;
  processTimers(): void;
}

interface MovableMessage {
  approximateReceiveCount?: number;
  approximateFirstReceiveTimestamp?: number | undefined;
  sentTimestamp?: number;
}

/** What a client sends. */
interface MoveInput {
  SourceArn?: string;
  DestinationArn?: string;
}

/** An answer, or an error of the service. */
export interface MoveAnswer {
  status: number;
  body: object;
}

/** Rights that the caller of StartMessageMoveTask needs beside that one. Source: SQS developer guide, "Configure permissions for a dead-letter queue redrive". */
export function rightsToMove({
  SourceArn = '',
  DestinationArn,
}: MoveInput): { action: string; resource: string }[] {
  return [
    ...['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'].map((action) => ({
      action,
      resource: SourceArn,
    })),
    ...(DestinationArn === undefined ? [] : [{ action: 'sqs:SendMessage', resource: DestinationArn }]),
  ];
}

/** The tasks of a service, by the ARN of the queue that they empty. */
export class MessageMoves<Message extends object> {
  readonly #queueOf: (name: string) => MovableQueue<Message & MovableMessage> | undefined;
  readonly #allQueues: () => Iterable<MovableQueue<Message & MovableMessage>>;
  readonly #tasks = new Map<string, object[]>();

  constructor(store: {
    getQueueByName(name: string): MovableQueue<Message & MovableMessage> | undefined;
    allQueues(): Iterable<MovableQueue<Message & MovableMessage>>;
  }) {
    this.#queueOf = (name) => store.getQueueByName(name);
    this.#allQueues = () => store.allQueues();
  }

  /** @returns `undefined`: it is another operation. */
  answer(operation: string, input: MoveInput): MoveAnswer | undefined {
    if (operation === 'StartMessageMoveTask') return this.#start(input);
    if (operation !== 'ListMessageMoveTasks') return undefined;
    return { status: 200, body: { Results: this.#tasks.get(input.SourceArn ?? '') ?? [] } };
  }

  #start({ SourceArn = '', DestinationArn }: MoveInput): MoveAnswer {
    const source = this.#queueOf(nameIn(SourceArn));
    const sources = [...this.#allQueues()].filter(({ attributes }) =>
      attributes.RedrivePolicy?.includes(`"${SourceArn}"`),
    );
    const destination = DestinationArn === undefined ? sources[0] : this.#queueOf(nameIn(DestinationArn));
    if (source !== undefined && sources.length === 0)
      return refusal('InvalidParameterValue', 'Source queue must be configured as a Dead Letter Queue.');
    if (source === undefined || destination === undefined)
      return refusal(
        'ResourceNotFoundException',
        "The resource that you specified for the SourceArn parameter doesn't exist.",
      );
    source.processTimers();
    const moved = source.messages.splice(0);
    for (const message of moved) {
      // They count as new: SQS developer guide, "Dead-letter queue redrive".
      message.approximateReceiveCount = 0;
      message.approximateFirstReceiveTimestamp = undefined;
      message.sentTimestamp = Date.now();
      // Replaces the stored row, so no crash loses or doubles it.
      destination.enqueue(message);
    }
    const task = {
      Status: 'COMPLETED',
      SourceArn,
      DestinationArn,
      ApproximateNumberOfMessagesMoved: moved.length,
      ApproximateNumberOfMessagesToMove: moved.length,
      StartedTimestamp: Date.now(),
    };
    this.#tasks.set(SourceArn, [task, ...(this.#tasks.get(SourceArn) ?? [])].slice(0, 10));
    return { status: 200, body: { TaskHandle: Buffer.from(randomUUID()).toString('base64') } };
  }
}

const nameIn = (arn: string): string => arn.split(':').at(-1) ?? '';

function refusal(code: string, message: string): MoveAnswer {
  return { status: 400, body: { __type: `com.amazonaws.sqs#${code}`, message } };
}
