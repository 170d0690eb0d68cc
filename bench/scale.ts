/**
 * `npm run bench -- scale`: what many batches cost, counted: calls to OpenAI for each poll, units of DynamoDB, requests
 * to S3, messages, time in Lambda, and dollars. See `scale/scenario.ts` for what is real and what is modelled.
 */
import { AWS_PRICES, type FunctionName } from './scale/aws-prices.ts';
import { type Cost, costsOf, secondsOf } from './scale/costs.ts';
import { type Played, play, type Scenario } from './scale/scenario.ts';
import { addUse, noUse, type PollUse, type Use } from './scale/use.ts';

const COMMON = { requestsPerBatch: 50_000, linesPerBatch: 5, requestBytes: 2_000, answerBytes: 1_500 };

/**
 * What a job costs, and how that goes with the number of others: all are there at once, so no hourly limit may spread
 * them.
 */
const ONE_REQUEST_JOBS = {
  requestsPerBatch: 1,
  linesPerBatch: 1,
  requestBytes: 2_000,
  answerBytes: 1_500,
  batchesPerJob: 1,
  createsPerHour: 1_000_000,
  hours: [2, 2],
  retriedShare: 0,
  pollMinutes: 5,
} as const;

/** What is played. */
export const SCENARIOS: readonly Scenario[] = [
  {
    ...COMMON,
    name: 'concurrent',
    about: '10,000 batches at OpenAI at a time, each for 10 to 20 hours',
    jobs: 100,
    batchesPerJob: 100,
    hours: [10, 20],
    retriedShare: 0.2,
    pollMinutes: 5,
  },
  {
    ...COMMON,
    name: 'quota',
    about: '100 million requests where 200 batches fit the enqueued-token limit, each for 2 to 10 hours',
    jobs: 10,
    batchesPerJob: 200,
    batchesAtATime: 200,
    hours: [2, 10],
    retriedShare: 0.2,
    pollMinutes: 5,
  },
  { ...ONE_REQUEST_JOBS, name: 'live-100', about: '100 files of one request live at a time', jobs: 100 },
  {
    ...ONE_REQUEST_JOBS,
    name: 'live-10000',
    about: '10,000 files of one request live at a time',
    jobs: 10_000,
  },
];

/** Least, mean and most of a figure over all polls. */
interface Spread {
  mean: number;
  most: number;
}

/** What one scenario came to. */
export interface ScaleReport {
  scenario: Scenario;
  requests: number;
  batches: number;
  virtualHours: number;
  maxAtOpenAI: number;
  maxWaiting: number;
  polls: {
    runs: number;
    listPages: Spread;
    singleReads: Spread;
    tableCalls: Spread;
    /** With the latencies that are assumed. */
    seconds: Spread;
  };
  /** For each batch, by call. */
  openaiCallsPerBatch: Record<string, number>;
  table: {
    readUnitsPerBatch: number;
    writeUnitsPerBatch: number;
    readUnitsPerRequest: number;
    writeUnitsPerRequest: number;
    itemsPerBatch: number;
    /** Of all functions, polls included. */
    callsPerJob: number;
    readUnitsPerJob: number;
  };
  functions: Record<FunctionName, { invocations: number; seconds: number }>;
  costs: Cost[];
  usd: number;
  usdPerMillionRequests: number;
}

export interface ScaleOptions {
  /** Names of scenarios. Default: all. */
  only?: readonly string[];
  /** Divides the number of jobs and of batches at a time: small ones are played in seconds. Default: 1. */
  divideBy?: number;
  say(message: string): void;
}

/** Plays the scenarios, one after the other. */
export async function runScale({ only, divideBy = 1, say }: ScaleOptions): Promise<ScaleReport[]> {
  const reports: ScaleReport[] = [];
  for (const scenario of SCENARIOS) {
    if (only !== undefined && !only.includes(scenario.name)) continue;
    say(`${scenario.name}: ${scenario.about}${divideBy === 1 ? '' : `, all divided by ${divideBy}`}`);
    reports.push(reportOf(await play(divided(scenario, divideBy))));
  }
  return reports;
}

function divided(scenario: Scenario, by: number): Scenario {
  const { jobs, batchesPerJob, batchesAtATime } = scenario;
  const isMany = jobs >= by;
  return {
    ...scenario,
    jobs: isMany ? Math.round(jobs / by) : 1,
    batchesPerJob: isMany ? batchesPerJob : Math.ceil((jobs * batchesPerJob) / by),
    ...(batchesAtATime === undefined ? {} : { batchesAtATime: Math.ceil(batchesAtATime / by) }),
  };
}

/** What a played scenario says. */
export function reportOf(played: Played): ScaleReport {
  const { scenario, requests, batches, polls, use } = played;
  const all = noUse();
  for (const each of Object.values(use)) addUse(all, each);
  const costs = costsOf(played);
  const usd = costs.reduce((sum, cost) => sum + cost.usd, 0);
  const ofPolls = (figure: (poll: PollUse) => number): Spread => {
    const figures = polls.map(figure);
    return {
      mean: figures.reduce((sum, each) => sum + each, 0) / figures.length,
      most: Math.max(...figures),
    };
  };
  return {
    scenario,
    requests,
    batches,
    virtualHours: played.virtualHours,
    maxAtOpenAI: played.maxAtOpenAI,
    maxWaiting: played.maxWaiting,
    polls: {
      runs: polls.length,
      listPages: ofPolls((poll) => poll.use.openai['list page'] ?? 0),
      singleReads: ofPolls((poll) => poll.use.openai['get batch'] ?? 0),
      tableCalls: ofPolls((poll) => poll.use.table.calls),
      seconds: ofPolls((poll) => secondsOf('poll', poll.use)),
    },
    openaiCallsPerBatch: Object.fromEntries(
      Object.entries(all.openai).map(([call, count]) => [call, count / batches]),
    ),
    table: {
      readUnitsPerBatch: all.table.readUnits / batches,
      writeUnitsPerBatch: all.table.writeUnits / batches,
      readUnitsPerRequest: all.table.readUnits / requests,
      writeUnitsPerRequest: all.table.writeUnits / requests,
      itemsPerBatch: played.items / batches,
      callsPerJob: all.table.calls / scenario.jobs,
      readUnitsPerJob: all.table.readUnits / scenario.jobs,
    },
    functions: Object.fromEntries(
      (Object.entries(use) as [FunctionName, Use][]).map(([name, each]) => [
        name,
        { invocations: each.invocations, seconds: secondsOf(name, each) },
      ]),
    ) as ScaleReport['functions'],
    costs,
    usd,
    usdPerMillionRequests: (usd / requests) * 1e6,
  };
}

/** The reports as text with tables. */
export function renderScale(reports: readonly ScaleReport[]): string {
  return [...reports.map(renderReport), renderPrices()].join('\n\n');
}

function renderReport(report: ScaleReport): string {
  const { scenario, polls, table, functions } = report;
  const figures: [string, string][] = [
    ['requests', whole(report.requests)],
    ['batches, later rounds included', whole(report.batches)],
    ['from drop to last receipt', `${report.virtualHours.toFixed(0)} h`],
    ['at OpenAI at a time, at most', whole(report.maxAtOpenAI)],
    ['waiting at a time, at most', whole(report.maxWaiting)],
    ['polls', whole(polls.runs)],
    ['list pages a poll, mean and most', spread(polls.listPages)],
    ['batches asked for alone a poll', spread(polls.singleReads)],
    ['calls of the table a poll', spread(polls.tableCalls)],
    ['seconds a poll (assumed latencies)', spread(polls.seconds)],
    ['calls of OpenAI a batch', calls(report.openaiCallsPerBatch)],
    ['items of the table a batch', table.itemsPerBatch.toFixed(2)],
    [
      'DynamoDB read and write units a batch',
      `${table.readUnitsPerBatch.toFixed(0)}, ${table.writeUnitsPerBatch.toFixed(0)}`,
    ],
    [
      'calls of the table, and read units, a job',
      `${table.callsPerJob.toFixed(1)}, ${table.readUnitsPerJob.toFixed(1)}`,
    ],
    [
      'DynamoDB read and write units a request',
      `${table.readUnitsPerRequest.toFixed(4)}, ${table.writeUnitsPerRequest.toFixed(4)}`,
    ],
    ...Object.entries(functions).map(([name, { invocations, seconds }]): [string, string] => [
      `${name}: invocations, hours in all`,
      `${whole(invocations)}, ${(seconds / 3600).toFixed(2)}`,
    ]),
  ];
  const rows = [
    ...report.costs.map(({ what, amount, unit, usd }) => [
      what,
      `${amount >= 100 ? whole(amount) : amount.toPrecision(3)} ${unit}`,
      dollars(usd),
      dollars((usd / report.requests) * 1e6),
    ]),
    ['sum', '', dollars(report.usd), dollars(report.usdPerMillionRequests)],
  ];
  return [
    `### ${scenario.name}: ${scenario.about}`,
    '',
    ...tableOf(['figure', ''], figures),
    '',
    ...tableOf(['charged', 'amount', 'USD', 'USD a million requests'], rows),
  ].join('\n');
}

/** Where the prices are from. */
function renderPrices(): string {
  const rows = Object.values(AWS_PRICES).map(({ usd, per, source, date }) => [`${usd}`, per, source, date]);
  return [
    'AWS list prices, us-east-1, first tier, without what is free each month:',
    '',
    ...tableOf(['USD', 'per', 'source', 'date'], rows),
  ].join('\n');
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`);
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function spread({ mean, most }: Spread): string {
  const digits = most < 10 ? 1 : 0;
  return `${mean.toFixed(digits)}, ${most.toFixed(digits)}`;
}

function calls(perBatch: Record<string, number>): string {
  return Object.entries(perBatch)
    .map(([call, count]) => `${call} ${count.toFixed(2)}`)
    .join(', ');
}

function dollars(usd: number): string {
  return usd >= 0.1 ? usd.toFixed(2) : usd.toPrecision(2);
}
