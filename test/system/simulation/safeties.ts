/**
 * Each safety of the core, taken away: by what stands between the core and its ports, so that nothing in the product
 * can be switched off. A simulation that does not notice proves nothing.
 */

import { DEFAULT_API_KEY } from '../../../src/contract/api-key.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { CallUnansweredError, type CreateRefusedError } from '../../../src/core/base/errors.ts';
import type { BatchRecord } from '../../../src/core/model/batch.ts';
import type { Job } from '../../../src/core/model/job.ts';
import { type BatchPatch, type BatchTransition, changesOf } from '../../../src/core/model/transition.ts';
import type { DropTurnStore } from '../../../src/core/ports/drops.ts';
import type {
  BackgroundApi,
  BackgroundResponse,
  BatchApi,
  RemoteBatch,
} from '../../../src/core/ports/provider.ts';
import type { JobStore } from '../../../src/core/ports/records.ts';
import type { PriceQuestion, Prices } from '../../../src/core/pricing/prices.ts';
import { MemoryOwners } from '../../support/memory/owners.ts';
import { batchWrite } from '../../support/records.ts';
import { SIMULATED_PRICES } from './money.ts';
import type { Scenario } from './scenario.ts';
import type { PortsOfStack, Tamper } from './stack.ts';
import type { Kind } from './weather.ts';

type MoveParameters = Parameters<JobStore['moveBatch']>;

/** The same write to a record that is in another state. */
const from = (state: BatchRecord['state'], write: BatchTransition): BatchTransition => ({
  ...write,
  from: state,
  to: write.to === write.from ? state : write.to,
});

/** The same port with some methods changed. */
function withMethods<Port extends object>(port: Port, methods: Partial<Port>): Port {
  return new Proxy(port, {
    get(target, property) {
      const method = (methods as Record<PropertyKey, unknown>)[property] ?? Reflect.get(target, property);
      return typeof method === 'function' ? method.bind(target) : method;
    },
  });
}

const onJobs =
  (change: (jobs: JobStore) => Partial<JobStore>): Tamper =>
  (ports) => ({ ...ports, jobs: withMethods(ports.jobs, change(ports.jobs)) });

const onDrops =
  (change: (drops: DropTurnStore) => Partial<DropTurnStore>): Tamper =>
  (ports) => ({ ...ports, drops: withMethods(ports.drops, change(ports.drops)) });

const onBatches =
  (change: (api: BatchApi, ports: PortsOfStack) => Partial<BatchApi>) =>
  (ports: PortsOfStack): PortsOfStack => ({
    ...ports,
    batches: {
      withKey: (name) => {
        // The simulated provider takes files.
        const api = ports.batches.withKey(name) as BatchApi;
        return withMethods(api, change(api, ports));
      },
    },
  });

const onBackground =
  (change: (api: BackgroundApi, ports: PortsOfStack) => Partial<BackgroundApi>) =>
  (ports: PortsOfStack): PortsOfStack => ({
    ...ports,
    background: {
      withKey: (name) => {
        const api = ports.background.withKey(name);
        return withMethods(api, change(api, ports));
      },
    },
  });

const hasEnded = ({ status }: BackgroundResponse): boolean => status !== 'queued' && status !== 'in_progress';

const only =
  (handler: string, tamper: Tamper): Tamper =>
  (ports, name) =>
    name === handler ? tamper(ports, name) : ports;

const withClock = (ports: PortsOfStack, aheadMs: number): PortsOfStack => ({
  ...ports,
  ambient: { ...ports.ambient, now: () => ports.ambient.now() + aheadMs },
});

/** Asked for what a batch may cost, they say an eighth of it. */
const CHEAP: Prices = withMethods(SIMULATED_PRICES, {
  ratesOf(question: PriceQuestion) {
    const rates = SIMULATED_PRICES.ratesOf(question);
    return rates && { input: Math.floor(rates.input / 8), output: Math.floor(rates.output / 8) };
  },
});

/** Nothing is written to keys like this below `work/`, which nobody notices before the table is restored. */
const withoutFiles =
  (keys: RegExp): Tamper =>
  (ports) => ({
    ...ports,
    objects: withMethods(ports.objects, {
      get: async (key) => (keys.test(key) ? undefined : ports.objects.get(key)),
      put: async (key, ...rest) => keys.test(key) || ports.objects.put(key, ...rest),
    }),
  });

const withUnreadableHours =
  (unreadableHours: number): Tamper =>
  (ports) => ({
    ...ports,
    settings: { ...ports.settings, inputs: { ...ports.settings.inputs, unreadableHours } },
  });

/** What each stack alone knows of owners of prefixes, by its listing, of which it has one. */
const ownOwners = new WeakMap<object, MemoryOwners>();

function ownersOf({ listing }: PortsOfStack): MemoryOwners {
  const owners = ownOwners.get(listing) ?? new MemoryOwners();
  ownOwners.set(listing, owners);
  return owners;
}

const IN_BACKGROUND: readonly Kind[] = ['background-windows'];

/** Of safeties that are missed in some kinds of weather only: these, in every seed. */
export const SAFETY_WEATHER: Readonly<Record<string, readonly Kind[]>> = {
  'a file that is too young is uploaded anew': ['young-files'],
  'calls of the poll have no time box': ['hanging-calls'],
  'a file that cannot be read is tried for ever': ['denied-inputs'],
  'a file that cannot be read is rejected at once': ['denied-inputs'],
  'a file that S3 tells nothing of is left to the listing alone': ['denied-inputs'],
  'no worker sweeps while the poll is late': ['late-polls'],
  'options beside a file are taken for those of an older one': ['late-sidecars'],
  'a version that S3 does not tell of is run beside the same content': ['denied-inputs'],
  'what cannot be read any more is given up at once': ['late-denials'],
  'files start whatever the limits of their route say': ['flooded-routes'],
  'nobody starts the files that wait for their turn': ['flooded-routes'],
  'a stack does not know what another one owns': ['shared-bucket'],
  'the list of batches may lead in a circle': ['list-pages'],
  'a duplicate is run before its cancelled owner has ended': ['cancel-and-run'],
  'ids of responses in the background are not written down': IN_BACKGROUND,
  'a create in the background that was not answered is sent again at once': IN_BACKGROUND,
  'nobody reads the reply to a cancel': IN_BACKGROUND,
  'responses are deleted before their answers are kept': IN_BACKGROUND,
  'responses are left at OpenAI': IN_BACKGROUND,
  'a response with the marks of another stack is taken for ours': ['background-windows', 'webhooks'],
  'nobody remembers which key created a response': IN_BACKGROUND,
};

/** Whether a seed can miss a safety: of these, only such seeds are run, the others are but drawn. */
export const SAFETY_SEEDS: Readonly<Record<string, (scenario: Scenario) => boolean>> = {
  'a create is in the table alone': ({ restore }) => restore !== undefined,
  'what became of a batch is in the table alone': ({ restore }) => restore !== undefined,
  'nobody remembers which key created a response': ({ openai: { keyReplaced, apiKeys } }) =>
    apiKeys.length === 1 && keyReplaced !== undefined && keyReplaced.at < 8 * HOUR_MS,
  'nobody reads the reply to a cancel': ({ settings: { routes }, weather }) =>
    routes[0]!.onLate === 'cancel' && routes[0]!.tiers.length > 1 && weather.batchFate > 0.3,
  'the input file of an unanswered create is not deleted': ({ weather, settings: { routes } }) =>
    weather.openaiError > 0.1 && routes.every(({ tiers }) => tiers[0] === 'batch'),
  'a response with the marks of another stack is taken for ours': ({ stacks, webhooks }) =>
    stacks === 1 && webhooks!.lost < 1,
  'a version that S3 does not tell of is run beside the same content': ({ drops, isVersioned, settings }) =>
    isVersioned &&
    settings.routes[0]!.sameContent === 'skip' &&
    drops.some(({ denied, index, sameAs = index }) =>
      denied?.isOfHead ? drops.some((later) => later.index > index && later.sameAs === sameAs) : false,
    ),
};

/** Of what is made in the background. */
const BACKGROUND_SAFETIES: Readonly<Record<string, Tamper>> = {
  'ids of responses in the background are not written down': (ports) => ({
    ...ports,
    // Nor how many files of them there are.
    jobs: withMethods(ports.jobs, {
      moveBatch: async (...[batch, write, now, holder]: MoveParameters) => {
        const { calls } = write.set;
        const set = calls === undefined ? write.set : { ...write.set, calls: { ...calls, created: 0 } };
        return ports.jobs.moveBatch(batch, { ...write, set }, now, holder);
      },
    }),
    objects: withMethods(ports.objects, {
      put: async (key, ...rest) => key.includes('/created/') || ports.objects.put(key, ...rest),
    }),
  }),
  'a create in the background that was not answered is sent again at once': onBackground((api) => ({
    create: async (request) => {
      try {
        return await api.create(request);
      } catch (error) {
        if (error instanceof CallUnansweredError) throw new CallUnansweredError(error.message, false);
        throw error;
      }
    },
  })),
  'nobody reads the reply to a cancel': onBackground((api) => ({
    cancel: async (...of) => {
      const reply = await api.cancel(...of);
      return reply && { ...reply, status: 'cancelled', begun: 'no' };
    },
  })),
  'responses are deleted before their answers are kept': only(
    'call',
    onBackground((api) => ({
      get: async (...of) => {
        const response = await api.get(...of);
        if (response !== undefined && hasEnded(response)) await api.remove(...of);
        return response;
      },
    })),
  ),
  'responses are left at OpenAI': onBackground(() => ({ remove: async () => {} })),
  'a response with the marks of another stack is taken for ours': only(
    'observe',
    onBackground((api, { stackId }) => ({
      get: async (...of) => {
        const response = await api.get(...of);
        const metadata = response?.metadata as Record<string, string> | undefined;
        return response && { ...response, metadata: { ...metadata, batchdrop_stack: stackId } };
      },
    })),
  ),
  'nobody remembers which key created a response': onBackground((api) => ({
    get: async (id) => api.get(id),
    cancel: async (id) => api.cancel(id),
    remove: async (id) => api.remove(id),
  })),
};

/** By what is missing. */
export const SAFETIES: Readonly<Record<string, Tamper>> = {
  ...BACKGROUND_SAFETIES,
  'the intent is not recorded before a create': onJobs((jobs) => ({
    moveBatch: async (...[batch, write, now, holder]: MoveParameters) => {
      if (write.to === 'submitting' && write.from !== 'submitting') {
        const current = (await jobs.getBatch(batch.jobId, batch.batchId))!;
        return { ...current, ...changesOf(current, write) } as BatchRecord;
      }
      const state = write.from === 'submitting' ? 'uploaded' : write.from;
      return jobs.moveBatch(batch, from(state, write), now, holder);
    },
  })),
  'answers without usage are booked as nothing': onJobs((jobs) => ({
    moveBatch: async (...[batch, write, now, holder]: MoveParameters) => {
      const { outcome } = write.set.results ?? {};
      if (outcome?.bill === undefined || outcome.bill.withoutUsage === 0)
        return jobs.moveBatch(batch, write, now, holder);
      const booked = { ...outcome, bill: { ...outcome.bill, possibleUsd: '0' } };
      const set = { ...write.set, results: { ...write.set.results, outcome: booked } };
      return jobs.moveBatch(batch, { ...write, set }, now, holder);
    },
  })),
  'an unanswered create is not looked up': only(
    'submit',
    onBatches(() => ({ listBatches: async () => ({ batches: [] }) })),
  ),
  'the input file of an unanswered create is not deleted': only(
    'submit',
    onBatches(() => ({ deleteFile: async () => {} })),
  ),
  // The list lags by an hour: to wait for a quarter of one is then as good as not to wait.
  'nobody waits for the list to catch up': only(
    'submit',
    onBatches((api, { ambient }) => ({
      listBatches: async (after) => {
        const page = await api.listBatches(after);
        const isListed = ({ createdAt }: RemoteBatch) => createdAt < ambient.now() - HOUR_MS;
        return { ...page, batches: page.batches.filter(isListed) };
      },
    })),
  ),
  // A claim is such a write as well; what the state does not stop, it would.
  'writes to batches are not conditional': onJobs((jobs) => {
    const move = async (...[batch, write, now]: MoveParameters): Promise<BatchRecord | undefined> => {
      const current = await jobs.getBatch(batch.jobId, batch.batchId);
      const { ofOpenAI: _, ...anyway } = write;
      return current && jobs.moveBatch(batch, from(current.state, anyway), now);
    };
    return {
      moveBatch: move,
      leaseBatch: async (batch, state, holder, now, until) =>
        move(batch, batchWrite(state, { lease: { holder, until } }), now),
    };
  }),
  'an event that comes twice makes two jobs': (ports) => {
    let made = 0;
    return onJobs((jobs) => ({
      createJob: async (job) => {
        const again = await jobs.getJob(job.jobId);
        if (again === undefined) return jobs.createJob(job);
        return jobs.createJob({ ...job, jobId: `${(++made).toString(16)}${job.jobId.slice(2)}` });
      },
    }))(ports, 'ingest');
  },
  'a batch that is recorded is recorded anew': onJobs((jobs) => ({
    createBatch: async (batch) => {
      if (await jobs.createBatch(batch)) return true;
      const current = (await jobs.getBatch(batch.jobId, batch.batchId))!;
      const again = batch as unknown as BatchPatch & { state: BatchRecord['state'] };
      const write = batchWrite(current.state, again, { clear: ['lease'] });
      await jobs.moveBatch(batch, write, batch.updatedAt);
      return true;
    },
  })),
  'money is given back before it is known what was spent': (ports) => ({
    ...ports,
    quota: withMethods(ports.quota, {
      giveBackTokens: async (reservation, now) => ports.quota.settle(reservation, now),
    }),
  }),
  'a batch may cost less than it does': (ports) => ({ ...ports, prices: CHEAP }),
  // Neither by its bytes nor, which would be noticed as well, by the number of its lines.
  'nobody knows how long a download is': onBatches((api) => {
    const uncounted = ({ progress: _, ...batch }: RemoteBatch): RemoteBatch => batch;
    return {
      readFile: async (id, options) => ({ body: (await api.readFile(id, options)).body }),
      getBatch: async (id) => {
        const batch = await api.getBatch(id);
        return batch && uncounted(batch);
      },
      listBatches: async (after) => {
        const page = await api.listBatches(after);
        return { ...page, batches: page.batches.map(uncounted) };
      },
    };
  }),
  'nobody looks at the size that OpenAI counted': onBatches((api) => ({
    uploadFile: async (file) => ({ id: (await api.uploadFile(file)).id, bytes: file.bytes }),
  })),
  'everything is sent with one API key': (ports) => ({
    ...ports,
    batches: { withKey: () => ports.batches.withKey(DEFAULT_API_KEY) },
  }),
  'files that are late are not waited for': only('collect', (ports) => withClock(ports, 3 * HOUR_MS)),
  'a create is in the table alone': withoutFiles(/\/attempts\//),
  'what became of a batch is in the table alone': withoutFiles(/\/record\.json$/),
  'an older version may write over a newer one': onJobs(() => ({
    acquirePublication: async () => 'granted',
    renewPublication: async () => true,
    releasePublication: async () => true,
  })),
  'inputs without a job are not looked for': (ports) => ({
    ...ports,
    inputs: withMethods(ports.inputs, { listVersions: async () => ({ versions: [] }) }),
  }),
  'what nobody moves is not swept up': onJobs(() => ({ listOverdue: () => nothing() })),
  'nobody remembers that a batch ran, nor sees that it has files': only(
    'poll',
    onBatches((api) => {
      const unseen = (batch: RemoteBatch): RemoteBatch => {
        if (batch.status !== 'failed') return batch;
        const { outputFileId: _, errorFileId: __, progress: ___, ...rest } = batch;
        return rest;
      };
      return {
        getBatch: async (...of) => {
          const batch = await api.getBatch(...of);
          return batch && unseen(batch);
        },
        listBatches: async (...of) => {
          const page = await api.listBatches(...of);
          return { ...page, batches: page.batches.map(unseen) };
        },
      };
    }),
  ),
  'a re-drop is owned by whatever had its content before': (ports) => ({
    ...ports,
    inputs: withMethods(ports.inputs, {
      // Only what has the content of the newest is left of the versions.
      listKey: async (...of) => {
        const page = await ports.inputs.listKey(...of);
        const [newest] = page.versions;
        return { ...page, versions: page.versions.filter(({ etag }) => etag === newest?.etag) };
      },
    }),
  }),
  'options beside a file are taken for those of an older one': (ports) => ({
    ...ports,
    objects: withMethods(ports.objects, {
      head: async (...of) => {
        const head = await ports.objects.head(...of);
        return head && of[1].endsWith('.options.json') ? { ...head, lastModified: 0 } : head;
      },
    }),
  }),
  'files below work/ go before their job has ended': only('poll', (ports) => ({
    ...ports,
    jobs: withMethods(ports.jobs, {
      listEnded: () => running(ports.jobs),
      getJob: async (jobId) => {
        const job = await ports.jobs.getJob(jobId);
        return job && { ...job, state: 'completed', receiptKey: 'gone', updatedAt: 0 };
      },
    }),
  })),
  'a file that is too young is uploaded anew': onBatches((api) => ({
    createBatch: async (batch) => {
      try {
        return await api.createBatch(batch);
      } catch (error) {
        if ((error as CreateRefusedError).topic === 'file_not_ready') await api.deleteFile(batch.inputFileId);
        throw error;
      }
    },
  })),
  'calls of the poll have no time box': only('poll', (ports) => ({ ...ports, isUnboxed: true })),
  'a file that cannot be read is tried for ever': withUnreadableHours(Number.POSITIVE_INFINITY),
  'a file that cannot be read is rejected at once': withUnreadableHours(0),
  'a file that S3 tells nothing of is left to the listing alone': only('ingest', (ports) => ({
    ...ports,
    outbox: withMethods(ports.outbox, {
      ingest: async (message, delivery) =>
        delivery?.delayMs === undefined ? ports.outbox.ingest(message) : undefined,
    }),
  })),
  'no worker sweeps while the poll is late': (ports) => ({
    ...ports,
    lateSweep: withMethods(ports.lateSweep, { run: async () => {} }),
  }),
  'what cannot be read any more is given up at once': withUnreadableHours(0),
  'files start whatever the limits of their route say': onDrops((drops) => ({
    takeDropTurn: async (of, now) => drops.takeDropTurn({ ...of, limits: undefined }, now),
  })),
  'nobody starts the files that wait for their turn': onDrops(() => ({ listWaitingDrops: () => nothing() })),
  'a stack does not know what another one owns': (ports) => ({ ...ports, owners: ownersOf(ports) }),
  'a duplicate is run before its cancelled owner has ended': only(
    'finalize',
    onJobs((jobs) => ({
      getJob: async (jobId) => {
        const job = await jobs.getJob(jobId);
        return job?.duplicatesRun === true ? { receiptKey: 'gone', result: 'partial', ...job } : job;
      },
    })),
  ),
  'a version that S3 does not tell of is run beside the same content': (ports) => ({
    ...ports,
    inputs: withMethods(ports.inputs, {
      listKey: async (...of) => {
        const page = await ports.inputs.listKey(...of);
        const versions = page.versions.map((one) => (one.isLatest ? one : { ...one, etag: 'unknown' }));
        return { ...page, versions };
      },
    }),
  }),
  'the list of batches may lead in a circle': onBatches((api) => ({
    listBatches: async (after, ...of) => {
      const page = await api.listBatches(after?.split('#')[0], ...of);
      return page.next === undefined ? page : { ...page, next: `${page.next}#${Math.trunc(++pages)}` };
    },
  })),
};

let pages = 0;

/** Jobs that have not ended. */
async function* running(jobs: JobStore): AsyncGenerator<Job> {
  for await (const item of jobs.listOverdue(Number.POSITIVE_INFINITY)) {
    const job = item.kind === 'job' ? await jobs.getJob(item.jobId) : undefined;
    if (job !== undefined) yield job;
  }
}

async function* nothing(): AsyncGenerator<never> {}
