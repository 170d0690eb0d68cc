import { expect, test } from 'vitest';
import { localUpText, type RunningPipeline } from '../../../../cli/view/local-up-text.ts';
import { setApiKeyCommand } from '../../../../src/contract/api-key.ts';
import { defaultSettings } from '../../../../src/contract/settings.ts';

const ARN = 'arn:aws:secretsmanager:eu-west-1:000000000000:secret:batchdrop/id/api-key';
const at = (port: number) => `http://127.0.0.1:${port}`;
const PIPELINE: RunningPipeline = {
  openai: { baseUrl: at(9), isEmulated: true },
  stack: {
    endpoints: {
      s3: at(1),
      dynamodb: at(2),
      sqs: at(3),
      events: at(4),
      secretsManager: at(5),
      cloudwatch: at(6),
      functionUrls: at(7),
    },
    credentials: { accessKeyId: 'local', secretAccessKey: 'secret' },
    region: 'eu-west-1',
    resources: {
      bucket: 'drops',
      table: 'jobs',
      queues: { ingest: { name: 'ingest-queue', url: '', arn: '' } },
      functions: {},
      secrets: {},
    },
    outputs: {
      SetApiKeyCommand: setApiKeyCommand(`${ARN}/default`),
      SetApiKeyCommandFilms: setApiKeyCommand(`${ARN}/films`),
      TableName: 'jobs',
    },
    alarms: () => [],
  },
};

const textOf = (pipeline: RunningPipeline) =>
  localUpText(pipeline, { state: 'here', flags: '--local --state here', layout: defaultSettings().layout });

test('once it is up, it says for each API key by what command its secret is set on this machine', () => {
  const lines = textOf(PIPELINE).split('\n');
  for (const name of ['default', 'films'])
    expect(lines).toContain(
      `  printf %s "$OPENAI_API_KEY" | aws --endpoint-url ${at(5)} secretsmanager put-secret-value --secret-id ${ARN}/${name} --secret-string file:///dev/stdin`,
    );
  expect(lines).toContainEqual(expect.stringContaining('a key for the emulator, which takes any,'));
});

test('it says where each service is, what to type first, and whether OpenAI is the real one', () => {
  const text = textOf({ ...PIPELINE, openai: { baseUrl: 'https://api.openai.com/v1', isEmulated: false } });
  for (const port of [1, 2, 3, 5, 6]) expect(text).toContain(`${at(port)} `);
  expect(text).toContain('s3 cp FILE.jsonl s3://drops/input/');
  expect(text).toContain('submit FILE.jsonl --wait --local --state here');
  expect(text).toContain('results input/FILE.jsonl --local --state here');
  expect(text).toContain('resume --local --state here');
  expect(text).toContain('Each start puts OPENAI_API_KEY into');
  expect(text).not.toContain('emulat');
});
