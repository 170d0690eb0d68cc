import { expect, test } from 'vitest';
import { BATCH_ONLY } from '../../support/routes.ts';
import { permissionsOf, resourcesOf, synthesize } from '../../support/synthesize.ts';

const template = synthesize();

const B = 'StorageBucket';
const objects = (...areas: string[]) => areas.map((area) => `${B}/${area}/*`).sort();
const below = (areas: string[]) => ({ 's3:prefix': areas.map((area) => `${area}/*`) });
const listing = (...areas: string[]) => [`${B} ${JSON.stringify({ StringLike: below(areas) })}`];
/** The object that says which stack owns which prefix. */
const OWNERS = '.batchdrop/owners.json';
const owners = {
  object: `${B}/${OWNERS}`,
  listing: `${B} ${JSON.stringify({ StringEquals: { 's3:prefix': OWNERS } })}`,
};
const putEvents = {
  'events:PutEvents': [
    'arn:<AWS::Partition>:events:<AWS::Region>:<AWS::AccountId>:event-bus/default ' +
      JSON.stringify({ StringEquals: { 'events:source': 'batchdrop' } }),
  ],
};
const consumes = (queue: string) => ({
  'sqs:ReceiveMessage': [queue],
  'sqs:DeleteMessage': [queue],
  'sqs:ChangeMessageVisibility': [queue],
  'sqs:GetQueueAttributes': [queue],
});
const logs = (name: string) => ({
  'logs:CreateLogStream': [`${name}FunctionLogs`],
  'logs:PutLogEvents': [`${name}FunctionLogs`],
});
const key = {
  'secretsmanager:GetSecretValue': [
    'arn:<AWS::Partition>:secretsmanager:<AWS::Region>:<AWS::AccountId>:secret:batchdrop/<stack uuid>/*',
  ],
};
/** Each worker sends on what is overdue, if the poll is late. */
const sweeps = {
  'sqs:SendMessage': ['CallQueue', 'CollectQueue', 'FinalizeQueue', 'IngestQueue', 'SubmitQueue'],
};
/** Kinds of items that every function keeps. */
const KEPT = [
  ...[
    'JOB#*',
    'LEASE#*',
    'LATEST#*',
    'PUBLICATION#*',
    'LEDGER#*',
    'RESERVATION#*',
    'TURNS#*',
    'BACKLOG',
    'DROPS',
  ],
  ...['SUSPENSION#*', 'SHUTDOWNS#*'],
];
const itemsOf = (kinds: string[]) =>
  `StateTable ${JSON.stringify({ 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': kinds } })}`;
/** Items, and batches that wait, which are looked for in the index. */
const items = (kinds: string[] = [], alsoRead: string[] = [], index = ['StateTable/index/live']) => {
  const written = [itemsOf([...KEPT, ...kinds])];
  const read = itemsOf([...new Set([...KEPT, ...kinds, 'PAUSES', ...alsoRead])]);
  return {
    'dynamodb:UpdateItem': written,
    'dynamodb:GetItem': [read],
    'dynamodb:Query': [read, ...index],
  };
};
/** Those that it may put as a whole: the kinds that it may update. */
const puts = (kinds: string[] = []) => ({ 'dynamodb:PutItem': [itemsOf([...KEPT, ...kinds])] });
/** With a job or a batch, one write proves that the job was not forgotten. */
const records = (kinds: string[] = []) => ({
  ...puts([...kinds, 'TOMBSTONE#*']),
  'dynamodb:ConditionCheckItem': [itemsOf(['JOB#*', 'TOMBSTONE#*'])],
});

test('ingest may read input and work, write work, own prefixes, keep state, put events of its own source and send to every queue', () => {
  expect(permissionsOf(template, 'ingest')).toEqual({
    ...logs('Ingest'),
    ...putEvents,
    's3:GetObject': [owners.object, ...objects('input', 'work')],
    's3:GetObjectVersion': objects('input'),
    's3:ListBucket': [owners.listing, ...listing('input'), ...listing('work')],
    's3:ListBucketVersions': listing('input'),
    's3:PutObject': [owners.object, ...objects('work')],
    's3:AbortMultipartUpload': objects('work'),
    ...items(['LISTING', 'IGNORED#*']),
    ...records(['LISTING', 'IGNORED#*']),
    ...sweeps,
    ...consumes('IngestQueue'),
  });
});

test('submit may read input and work, write work, keep state, read the key, and sweep', () => {
  expect(permissionsOf(template, 'submit')).toEqual({
    ...logs('Submit'),
    's3:GetObject': objects('input', 'work'),
    's3:GetObjectVersion': objects('input'),
    's3:ListBucketVersions': listing('input'),
    's3:ListBucket': [...listing('input'), ...listing('work')],
    's3:PutObject': objects('work'),
    's3:AbortMultipartUpload': objects('work'),
    ...items(),
    ...key,
    ...sweeps,
    ...consumes('SubmitQueue'),
  });
});

test('call may read input and work, write work, keep state, read the key, and sweep', () => {
  expect(permissionsOf(template, 'call')).toEqual({
    ...logs('Call'),
    's3:GetObject': objects('input', 'work'),
    's3:GetObjectVersion': objects('input'),
    's3:ListBucketVersions': listing('input'),
    's3:ListBucket': [...listing('input'), ...listing('work')],
    's3:PutObject': objects('work'),
    's3:AbortMultipartUpload': objects('work'),
    ...items(['WEBHOOKS#*']),
    ...key,
    ...sweeps,
    ...consumes('CallQueue'),
  });
});

test('poll may list the input, read, write and remove work, own prefixes, keep state, look for what is live, read the key and send to every queue', () => {
  expect(permissionsOf(template, 'poll')).toEqual({
    ...logs('Poll'),
    's3:ListBucketVersions': listing('input'),
    's3:PutObject': [owners.object, ...objects('work')],
    's3:DeleteObject': objects('work'),
    's3:AbortMultipartUpload': objects('work'),
    's3:GetObject': [owners.object, ...objects('work')],
    's3:ListBucket': [owners.listing, ...listing('work')],
    ...items(['LISTING', 'WEBHOOKS#*']),
    ...records(['LISTING', 'WEBHOOKS#*']),
    ...key,
    ...sweeps,
  });
});

test('collect may read input and work, write work, keep state, read the key, and sweep', () => {
  expect(permissionsOf(template, 'collect')).toEqual({
    ...logs('Collect'),
    's3:GetObject': objects('input', 'work'),
    's3:GetObjectVersion': objects('input'),
    's3:ListBucketVersions': listing('input'),
    's3:ListBucket': [...listing('input'), ...listing('work')],
    's3:PutObject': objects('work'),
    's3:AbortMultipartUpload': objects('work'),
    ...items(),
    ...records(),
    ...key,
    ...sweeps,
    ...consumes('CollectQueue'),
  });
});

test('finalize may write results but never the input, and put events of its own source only', () => {
  const written = ['work', 'output', 'errors', 'retry', 'receipts'];
  expect(permissionsOf(template, 'finalize')).toEqual({
    ...logs('Finalize'),
    's3:GetObject': objects('input', ...written),
    's3:GetObjectVersion': objects('input'),
    's3:ListBucketVersions': listing('input'),
    's3:ListBucket': [...listing('input'), ...listing(...written)],
    's3:PutObject': objects(...written),
    's3:AbortMultipartUpload': objects(...written),
    's3:DeleteObject': objects('output', 'errors', 'retry', 'work'),
    ...items(['JOBS#*', 'INPUT#*', 'MONTH#*']),
    ...records(['JOBS#*', 'INPUT#*', 'MONTH#*']),
    ...key,
    ...putEvents,
    ...sweeps,
    ...consumes('FinalizeQueue'),
  });
});

const WEBHOOKS = {
  settings: {
    routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/' }],
    webhooks: { apiKeys: ['default'] },
  },
};

test('webhook, which anybody may call, may read the signing secrets and send to one queue, and nothing else', () => {
  expect(permissionsOf(synthesize(WEBHOOKS), 'webhook')).toEqual({
    ...logs('Webhook'),
    'sqs:SendMessage': ['ObserveQueue'],
    'secretsmanager:GetSecretValue': [
      'arn:<AWS::Partition>:secretsmanager:<AWS::Region>:<AWS::AccountId>:secret:batchdrop/webhooks/<stack uuid>/*',
    ],
  });
});

test('observe may read and write work, keep state, read the API key but no signing secret, and sweep', () => {
  expect(permissionsOf(synthesize(WEBHOOKS), 'observe')).toEqual({
    ...logs('Observe'),
    's3:GetObject': objects('work'),
    's3:ListBucket': listing('work'),
    's3:PutObject': objects('work'),
    's3:AbortMultipartUpload': objects('work'),
    ...items(['WEBHOOK#*', 'WEBHOOKS#*']),
    ...key,
    'sqs:SendMessage': [...sweeps['sqs:SendMessage'], 'ObserveQueue'].sort(),
    ...consumes('ObserveQueue'),
  });
});

test('operate may read retry files and receipts, drop inputs, erase what a job has left if it is unchanged, keep and delete state, and read no key, and nothing below work', () => {
  const all = ['input', 'work', 'output', 'errors', 'retry', 'receipts'];
  expect(permissionsOf(template, 'operate')).toEqual({
    ...logs('Operate'),
    's3:GetObject': objects('input', 'retry', 'receipts', 'output', 'errors'),
    's3:GetObjectVersion': objects('input', 'retry', 'receipts'),
    's3:ListBucket': listing('input', 'retry', 'receipts'),
    's3:ListBucketVersions': [...listing('input', 'retry', 'receipts'), ...listing(...all)].sort(),
    's3:PutObject': objects('input'),
    's3:AbortMultipartUpload': objects('input'),
    's3:DeleteObject': objects(...all),
    's3:DeleteObjectVersion': objects(...all),
    ...items(['PAUSES', 'TOMBSTONE#*'], ['JOBS#*', 'INPUT#*'], []),
    ...puts(['PAUSES', 'TOMBSTONE#*']),
    'dynamodb:DeleteItem': [itemsOf(['JOB#*', 'JOBS#*', 'INPUT#*', 'TOMBSTONE#*'])],
    'sqs:SendMessage': ['CollectQueue', 'FinalizeQueue'],
  });
});

test('webhooks give the other functions nothing', () => {
  for (const capability of ['ingest', 'submit', 'call', 'poll', 'collect', 'finalize'] as const)
    expect(permissionsOf(synthesize(WEBHOOKS), capability)).toEqual(permissionsOf(template, capability));
});

test('permissions follow the prefixes of the layout', () => {
  const moved = synthesize({
    settings: {
      layout: { input: 'drop/', work: 'private/work/' },
      routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'drop/' }],
    },
  });
  expect(permissionsOf(moved, 'submit')['s3:GetObject']).toEqual([`${B}/drop/*`, `${B}/private/work/*`]);
});

test('permissions of finalize reach to the prefixes of routes for their results, and those of others do not', () => {
  const own = synthesize({
    settings: {
      routes: [
        { ...BATCH_ONLY, name: 'all', prefix: 'input/' },
        { ...BATCH_ONLY, name: 'a', prefix: 'input/a/', layout: { output: 'a/', receipts: 'r/' } },
        { ...BATCH_ONLY, name: 'b', prefix: 'input/b/', layout: { output: 'a/' } },
      ],
    },
  });
  const finalize = permissionsOf(own, 'finalize');
  const written = ['a', 'errors', 'output', 'r', 'receipts', 'retry', 'work'];
  expect(finalize['s3:PutObject']).toEqual(objects(...written));
  expect(finalize['s3:GetObject']).toEqual(objects('input', ...written));
  expect(finalize['s3:DeleteObject']).toEqual(objects('a', 'errors', 'output', 'retry', 'work'));
  for (const capability of ['ingest', 'submit', 'call', 'poll', 'collect'] as const)
    expect(permissionsOf(own, capability)).toEqual(permissionsOf(template, capability));
});

test('no function but the one of operators may delete an item of the table or an object of the input', () => {
  for (const capability of ['ingest', 'submit', 'call', 'poll', 'collect', 'finalize'] as const) {
    const permissions = permissionsOf(template, capability);
    expect(Object.keys(permissions).filter((action) => /^dynamodb:.*Delete/.test(action))).toEqual([]);
    expect(permissions['s3:DeleteObject'] ?? []).not.toContain(`${B}/input/*`);
  }
});

test('no action holds a wildcard', () => {
  for (const { Properties } of Object.values(resourcesOf(template, 'AWS::IAM::Policy'))) {
    for (const { Action } of Properties.PolicyDocument.Statement) {
      expect([Action].flat().filter((action: string) => action.includes('*'))).toEqual([]);
    }
  }
});
