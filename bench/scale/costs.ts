/** From what was counted to time and money, with the figures of `aws-prices.ts`. */
import { ASSUMED, AWS_PRICES, FUNCTIONS, type FunctionName } from './aws-prices.ts';
import type { Played } from './scenario.ts';
import { addUse, noUse, type Use } from './use.ts';

const MILLION = 1e6;
const GIGABYTE = 1e9;

/** How long the invocations of a function last, together. */
export function secondsOf(name: FunctionName, use: Use): number {
  const { memoryMb, cpuMsPerMb } = FUNCTIONS[name];
  const calls = Object.values(use.openai).reduce((sum, count) => sum + count, 0);
  const waitingMs =
    use.invocations * ASSUMED.invocationMs +
    use.table.calls * ASSUMED.dynamodbCallMs +
    (use.bucket.writes + use.bucket.reads) * ASSUMED.s3CallMs +
    calls * ASSUMED.openaiCallMs;
  const share = Math.min(1, memoryMb / ASSUMED.mbForOneVcpu);
  const cpuMs = ((workOf(name, use) / 1e6) * cpuMsPerMb) / share;
  const networkMs = ((use.bytesIn + use.bytesOut) / 1e6 / ASSUMED.networkMbPerSecond) * 1000;
  return (waitingMs + Math.max(cpuMs, networkMs)) / 1000;
}

/** The bytes that a function's time goes with. */
function workOf(name: FunctionName, use: Use): number {
  switch (name) {
    case 'ingest':
      return use.bucket.bytesMoved;
    case 'submit':
      return use.bytesOut;
    case 'collect':
      return use.bytesIn;
    case 'finalize':
      // Once when merged, once when published.
      return use.bucket.bytesWritten / 2;
    case 'poll':
      return 0;
  }
}

/** One line of the bill. */
export interface Cost {
  what: string;
  /** How much of what is charged. */
  amount: number;
  unit: string;
  usd: number;
}

/** What a played scenario would be charged at list prices. */
export function costsOf(played: Played): Cost[] {
  const all = noUse();
  let gbSeconds = 0;
  let storageGbSeconds = 0;
  for (const [name, use] of Object.entries(played.use) as [FunctionName, Use][]) {
    addUse(all, use);
    const seconds = secondsOf(name, use);
    gbSeconds += (seconds * FUNCTIONS[name].memoryMb) / 1024;
    storageGbSeconds += seconds * FUNCTIONS[name].extraStorageGb;
  }
  const messages = all.invocations - played.use.poll.invocations;
  const idle = played.virtualHours * 60 * ASSUMED.idleReceivesPerMinute;
  const logBytes =
    all.logBytes + all.logLines * ASSUMED.logLineBytes + all.invocations * ASSUMED.logInvocationBytes;
  const workBytes = played.use.collect.bucket.bytesWritten + played.use.ingest.bucket.bytesWritten;
  const cost = (what: string, amount: number, per: number, price: { usd: number }, unit: string): Cost => ({
    what,
    amount,
    unit,
    usd: (amount / per) * price.usd,
  });
  return [
    cost('Lambda, time', gbSeconds, MILLION, AWS_PRICES.lambdaGbSeconds, 'GB-s'),
    cost('Lambda, /tmp', storageGbSeconds, MILLION, AWS_PRICES.lambdaStorageGbSeconds, 'GB-s'),
    cost('Lambda, invocations', all.invocations, MILLION, AWS_PRICES.lambdaRequests, 'requests'),
    cost('DynamoDB, reads', all.table.readUnits, MILLION, AWS_PRICES.dynamodbReadUnits, 'units'),
    cost('DynamoDB, writes', all.table.writeUnits, MILLION, AWS_PRICES.dynamodbWriteUnits, 'units'),
    cost('S3, writes', all.bucket.writes, MILLION, AWS_PRICES.s3Writes, 'requests'),
    cost('S3, reads', all.bucket.reads, MILLION, AWS_PRICES.s3Reads, 'requests'),
    cost(
      `S3, work/ for ${ASSUMED.workDays} days`,
      ((workBytes / GIGABYTE) * ASSUMED.workDays) / 30,
      1,
      AWS_PRICES.s3Storage,
      'GB-months',
    ),
    // Each message is sent, received and deleted.
    cost('SQS', 3 * messages + idle, MILLION, AWS_PRICES.sqsRequests, 'requests'),
    cost('EventBridge', all.bucket.objects, MILLION, AWS_PRICES.events, 'events'),
    cost('CloudWatch Logs', logBytes / GIGABYTE, 1, AWS_PRICES.logs, 'GB'),
    cost('Internet, to OpenAI', all.bytesOut / GIGABYTE, 1, AWS_PRICES.internetOut, 'GB'),
  ];
}
