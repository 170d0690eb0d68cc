/** The queues of every stack, as SQS and Lambda keep them: messages get lost, come twice, late and again. */
import { MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import { backoffSeconds } from '../../../src/runtime/queue-handler.ts';
import type { Random } from './random.ts';
import type { Scenario } from './scenario.ts';
import type { Scheduler } from './scheduler.ts';
import type { HandlerName, QueueName } from './stack.ts';

/** `lib/work-queue.ts`: one minute more than the longest run. */
const VISIBILITY_MS = 16 * MINUTE_MS;
/** The queues allow 50; fewer here, so that messages are seen to be given up. */
const MAX_RECEIVES = 10;

interface Message {
  id: number;
  /** Whose it is: the place of a stack. */
  place: number;
  queue: QueueName;
  body: unknown;
  /** S3 reported an object. */
  isEvent: boolean;
  /** Whether somebody else would miss it: the sweep, or the listing of inputs. */
  mayBeLost: boolean;
  receives: number;
  isDone: boolean;
}

export class Queues {
  readonly #scheduler: Scheduler;
  readonly #scenario: Scenario;
  readonly #random: Random;
  readonly #world: { note(what: string): void; trace(text: string): void };
  readonly #messages = new Set<Message>();
  /** Messages that found no room and were not received: SQS keeps them until a poller has room, in no order. */
  readonly #withoutRoom = new Set<Message>();

  constructor(
    scheduler: Scheduler,
    scenario: Scenario,
    random: Random,
    world: { note(what: string): void; trace(text: string): void },
  ) {
    this.#scheduler = scheduler;
    this.#scenario = scenario;
    this.#random = random;
    this.#world = world;
  }

  /** What is neither done nor given up. */
  waiting(): string[] {
    return [...this.#messages].map(({ queue }) => `a message to ${queue}`);
  }

  /** @param delayMs how long the queue holds it back. */
  post(
    queue: QueueName,
    body: unknown,
    of: Pick<Message, 'place' | 'isEvent' | 'mayBeLost'>,
    delayMs = 0,
  ): void {
    const { isEvent, mayBeLost } = of;
    const { dropMessage, duplicateMessage, delayMessage } = this.#scenario.weather;
    const isStormy = this.#scheduler.isStormy();
    if (mayBeLost && isStormy && this.#random.chance(dropMessage)) {
      this.#world.note(isEvent ? 'fault:event lost' : 'fault:message dropped');
      this.#world.trace(`      ${isEvent ? 'an event' : `a message to ${queue}`} is lost`);
      return;
    }
    const isTwice = isStormy && this.#random.chance(duplicateMessage);
    if (isTwice) this.#world.note(isEvent ? 'fault:event twice' : 'fault:message twice');
    for (let copy = 0; copy < (isTwice ? 2 : 1); copy++) {
      const message: Message = {
        id: this.#scheduler.nextId(),
        queue,
        body,
        ...of,
        receives: 0,
        isDone: false,
      };
      this.#messages.add(message);
      const isLate = isStormy && this.#random.chance(delayMessage);
      if (isLate) this.#world.note('fault:message delayed');
      this.#scheduler.after(
        delayMs + (isLate ? this.#random.spread(SECOND_MS, 90 * MINUTE_MS) : this.#random.whole(5, 500)),
        '',
        () => this.#deliver(message),
      );
    }
  }

  #deliver(message: Message): void {
    if (message.isDone) return;
    const { queue, place } = message;
    const isThrottled = !this.#hasRoom(place, queue);
    const isCounted = this.#scenario.kinds.has('throttled-deliveries');
    if (isThrottled && !isCounted) {
      this.#withoutRoom.add(message);
      return;
    }
    this.#withoutRoom.delete(message);
    if (message.receives >= MAX_RECEIVES && message.mayBeLost) {
      this.#world.note('fault:dead letter');
      this.#done(message);
      return;
    }
    const receive = ++message.receives;
    // It comes back when nobody has said anything of it.
    this.#scheduler.after(VISIBILITY_MS, '', () => {
      if (message.isDone || message.receives !== receive) return;
      if (!isThrottled) this.#world.note('fault:message back after 16 minutes');
      this.#bringBack(message);
    });
    if (isThrottled) {
      this.#world.note('fault:throttled delivery');
      this.#world.trace(`      a message to ${queue} finds no room`);
      return;
    }
    this.#scheduler.start(place, queue, message.body, ({ error }) => {
      if (error === undefined) {
        // Once in a while a message cannot be deleted.
        if (!this.#scheduler.isStormy() || !this.#random.chance(0.05)) this.#done(message);
        return;
      }
      this.#scheduler.after(backoffSeconds(receive) * SECOND_MS, '', () => {
        if (message.receives === receive) this.#deliver(message);
      });
    });
  }

  #hasRoom(place: number, handler: HandlerName): boolean {
    const running = this.#scheduler.countRunning((one) => one.handler === handler && one.place === place);
    return running < this.#scenario.concurrency;
  }

  /**
   * A handler has ended or died. What waits for its room gets it after a while, and costs no step until then: over
   * hours in which every upload hangs, each poll adds a message for each batch that waits.
   */
  freed(place: number, handler: HandlerName): void {
    if (this.#waitingFor(place, handler).length === 0) return;
    this.#scheduler.after(this.#random.spread(SECOND_MS, 2 * MINUTE_MS), '', () =>
      this.#fillRoom(place, handler),
    );
  }

  #fillRoom(place: number, handler: HandlerName): void {
    while (this.#hasRoom(place, handler)) {
      const waiting = this.#waitingFor(place, handler);
      if (waiting.length === 0) return;
      this.#deliver(this.#random.pick(waiting));
    }
  }

  #waitingFor(place: number, handler: HandlerName): Message[] {
    return [...this.#withoutRoom].filter((one) => one.queue === handler && one.place === place);
  }

  #bringBack(message: Message): void {
    const mayBeLost = message.isEvent && message.mayBeLost && this.#scheduler.isStormy();
    if (!mayBeLost || !this.#random.chance(0.5)) {
      this.#deliver(message);
      return;
    }
    this.#world.note('fault:event lost');
    this.#done(message);
  }

  #done(message: Message): void {
    message.isDone = true;
    this.#messages.delete(message);
    this.#withoutRoom.delete(message);
  }
}
