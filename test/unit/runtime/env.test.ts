import { describe, expect, test } from 'vitest';
import { ingestEnv, submitEnv } from '../../../src/contract/env.ts';
import { parseEnv } from '../../../src/runtime/env.ts';

const COMPLETE = {
  STACK_ID: 's',
  TABLE_NAME: 't',
  BUCKET_NAME: 'b',
  SETTINGS_FILE: '/opt/batchdrop/settings.json',
  POWERTOOLS_SERVICE_NAME: 'ingest',
  INGEST_QUEUE_URL: 'http://127.0.0.1/1',
  SUBMIT_QUEUE_URL: 'http://127.0.0.1/2',
  CALL_QUEUE_URL: 'http://127.0.0.1/4',
  COLLECT_QUEUE_URL: 'http://127.0.0.1/5',
  FINALIZE_QUEUE_URL: 'http://127.0.0.1/3',
  STACK_NAME: 'n',
  EVENT_BUS_NAME: 'default',
  POLL_INTERVAL_MINUTES: '5',
};

describe('parseEnv', () => {
  test('gives the variables of the contract, and nothing else', () => {
    const env = parseEnv(ingestEnv, { ...COMPLETE, PATH: '/bin' });
    expect(env).toEqual({ ...COMPLETE, POLL_INTERVAL_MINUTES: 5 });
  });

  test('fails once, naming every variable that is missing, empty or not valid', () => {
    const { TABLE_NAME: _, ...without } = COMPLETE;
    const parsing = () => parseEnv(ingestEnv, { ...without, BUCKET_NAME: '', SETTINGS_FILE: '' });
    expect(parsing).toThrow(/^3 environment variables are not as src\/contract\/env.ts says:/);
    expect(parsing).toThrow(/\n {2}TABLE_NAME: is missing\n/);
    expect(parsing).toThrow(/\n {2}BUCKET_NAME: is missing\n/);
    expect(parsing).toThrow(/\n {2}SETTINGS_FILE: is missing/);
  });

  test('takes an empty optional variable for absent', () => {
    const env = {
      ...COMPLETE,
      NODE_OPTIONS: '--max-semi-space-size=4',
      OPENAI_BASE_URL: '',
    };
    expect(parseEnv(submitEnv, env)).not.toHaveProperty('OPENAI_BASE_URL');
    expect(() => parseEnv(submitEnv, { ...env, OPENAI_BASE_URL: 'nowhere' })).toThrow('OPENAI_BASE_URL: ');
  });
});
