/** Dead letters of a queue: what this release understands of them, as data and as text. Pure. */
import type { z } from 'zod';
import {
  batchMessageSchema,
  ingestMessageSchema,
  jobMessageSchema,
  observeMessageSchema,
} from '../../src/contract/messages.ts';
import { tableLines } from './table-text.ts';
import { count, wrapped } from './text.ts';
import { agoText } from './time.ts';

/** What the functions of this release take from each queue. */
const SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  ingest: ingestMessageSchema,
  submit: batchMessageSchema,
  call: batchMessageSchema,
  collect: batchMessageSchema,
  finalize: jobMessageSchema,
  observe: observeMessageSchema,
};
/** Fields of messages that are shown, in this order: they name what a message is about. */
const NAMES = ['jobId', 'batchId', 'bucket', 'key', 'versionId', 'type', 'objectId', 'apiKey'] as const;

/** A message as SQS gives it. */
export interface ReceivedMessage {
  MessageId?: string | undefined;
  Body?: string | undefined;
  Attributes?: Partial<Record<string, string>> | undefined;
}

/** A message among the dead letters of a queue. */
export interface DeadLetter {
  messageId: string;
  /** When it was put into its queue, the last time, epoch milliseconds. */
  sentAt: number;
  /** How often it was received, looks like this one included. */
  receives: number;
  /** What it is about. `null`: this release does not understand it, and nothing of it is shown. */
  about: Readonly<Partial<Record<(typeof NAMES)[number], string>>> | null;
}

/** Reads a message. @param queue its short name: `ingest`, … */
export function readDeadLetter(queue: string, { MessageId, Body, Attributes }: ReceivedMessage): DeadLetter {
  return {
    messageId: MessageId ?? '',
    sentAt: Number(Attributes?.SentTimestamp),
    receives: Number(Attributes?.ApproximateReceiveCount),
    about: aboutOf(queue, Body ?? ''),
  };
}

function aboutOf(queue: string, body: string): DeadLetter['about'] {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return null;
  }
  const result = SCHEMAS[queue]?.safeParse(json);
  if (!result?.success) return null;
  const message = result.data as Record<string, unknown>;
  return Object.fromEntries(NAMES.flatMap((name) => (message[name] ? [[name, String(message[name])]] : [])));
}

/**
 * The table, and what to do with what is in it.
 *
 * @param width columns of the terminal.
 */
export function deadLettersText(
  letters: readonly DeadLetter[],
  { queue, all, now, width }: { queue: string; all: number; now: number; width: number },
): string {
  if (letters.length === 0) {
    const none = `No dead letter of ${queue} can be received now.`;
    return all === 0 ? none : `${none} ${count(all, 'is', 'are')} being looked at; ask again in a minute.`;
  }
  const table = tableLines<DeadLetter>(
    [
      { heading: 'SENT', of: ({ sentAt }) => agoText(sentAt, now) },
      { heading: 'RECEIVES', of: ({ receives }) => String(receives), isNumber: true },
      { heading: 'MESSAGE', of: aboutText, takesRest: true },
      { heading: 'ID', of: ({ messageId }) => messageId },
    ],
    letters,
    width,
  );
  const unknown = letters.filter(({ about }) => about === null).length;
  const notes = [
    ...(all > letters.length ? [`These are ${letters.length} of about ${count(all, 'dead letter')}.`] : []),
    ...(unknown === 0
      ? []
      : [
          `${count(unknown, 'message')} not understood by this release: sent again, such a message comes back within seconds. It needs a newer release, or it is of no use and to be deleted: docs/runbook.md, "Delete a dead letter", has the commands.`,
        ]),
    'Why a message of a job failed is in `batchdrop logs JOB`.',
  ];
  return [...table, '', ...notes.flatMap((note) => wrapped(note, width))].join('\n');
}

function aboutText({ about }: DeadLetter): string {
  if (about === null) return 'not understood by this release';
  return Object.entries(about)
    .filter(([name]) => name !== 'bucket')
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}
