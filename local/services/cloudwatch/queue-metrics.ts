/** The metrics that SQS counts. Source: SQS Developer Guide, "Available CloudWatch metrics for Amazon SQS". */
import { HOUR_MS, SECOND_MS } from '../../../src/contract/time.ts';
import type { Sample } from './metrics.ts';

/** A queue at a time. */
export interface QueueState {
  queueName: string;
  ready: number;
  delayed: number;
  inFlight: number;
  /** Of the messages, the one that was sent first, and its age by the machine's clock. Absent without messages. */
  oldest: { messageId: string; ageMs: number } | undefined;
  /** A consumer polls it, which keeps it active. */
  isPolled: boolean;
}

/** AWS: a queue is active, and has metrics, for six hours after anything was done with it. */
const ACTIVE_MS = 6 * HOUR_MS;
const NAMESPACE = 'AWS/SQS';

/** Samples the queues of a stack, and remembers which are active. */
export class QueueSampler {
  readonly #activeAt = new Map<string, number>();
  /** By queue: its oldest message, and when that was sent by the stack's clock, which may leap. */
  readonly #oldest = new Map<string, { messageId: string; sentAt: number }>();

  /** @param at epoch ms by the stack's clock; later in every call */
  sample(queue: QueueState, at: number): Sample[] {
    const { queueName, ready, delayed, inFlight, isPolled } = queue;
    if (isPolled || ready + delayed + inFlight > 0) this.#activeAt.set(queueName, at);
    if (at - (this.#activeAt.get(queueName) ?? Number.NEGATIVE_INFINITY) >= ACTIVE_MS) return [];
    const metric = (name: string, value: number): Sample => ({
      namespace: NAMESPACE,
      name,
      dimensions: { QueueName: queueName },
      at,
      value,
    });
    return [
      metric('ApproximateNumberOfMessagesVisible', ready),
      metric('ApproximateNumberOfMessagesDelayed', delayed),
      metric('ApproximateNumberOfMessagesNotVisible', inFlight),
      metric('ApproximateAgeOfOldestMessage', this.#ageSeconds(queue, at)),
    ];
  }

  #ageSeconds({ queueName, oldest }: QueueState, at: number): number {
    if (oldest === undefined) {
      this.#oldest.delete(queueName);
      return 0;
    }
    const { messageId, ageMs } = oldest;
    const before = this.#oldest.get(queueName);
    const known = before?.messageId === messageId ? before : { messageId, sentAt: at - ageMs };
    this.#oldest.set(queueName, known);
    return Math.floor((at - known.sentAt) / SECOND_MS);
  }
}
