import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import {
  collectEnv,
  finalizeEnv,
  ingestEnv,
  observeEnv,
  pollEnv,
  submitEnv,
} from '../../../src/contract/env.ts';

const SCHEMAS: Record<string, z.ZodObject> = {
  ingest: ingestEnv,
  submit: submitEnv,
  poll: pollEnv,
  collect: collectEnv,
  finalize: finalizeEnv,
  observe: observeEnv,
};

const OPTIONAL: ReadonlySet<string> = new Set(['OPENAI_BASE_URL', 'CREATE_SETTLES_SECONDS']);

/** Variables of a function, each with a value that is valid. */
function validEnv(schema: z.ZodObject): Record<string, string> {
  const env = Object.fromEntries(Object.keys(schema.shape).map((name) => [name, `value of ${name}`]));
  if ('POLL_INTERVAL_MINUTES' in schema.shape) env.POLL_INTERVAL_MINUTES = '5';
  if ('WORK_KEPT_DAYS' in schema.shape) env.WORK_KEPT_DAYS = '30';
  if ('OPENAI_BASE_URL' in schema.shape) env.OPENAI_BASE_URL = 'http://127.0.0.1:8080/v1';
  if ('CREATE_SETTLES_SECONDS' in schema.shape) env.CREATE_SETTLES_SECONDS = '2';
  return env;
}

describe.each(Object.entries(SCHEMAS))('environment of %s', (_name, schema) => {
  it('is read', () => {
    const env = schema.parse(validEnv(schema));
    expect(env.TABLE_NAME).toBe('value of TABLE_NAME');
  });

  it('fails for each variable that is missing or empty, and names it', () => {
    for (const name of Object.keys(schema.shape)) {
      if (OPTIONAL.has(name)) continue;
      for (const change of [{ [name]: undefined }, { [name]: '' }]) {
        const result = schema.safeParse({ ...validEnv(schema), ...change });
        expect(result.success).toBe(false);
        expect(result.error!.issues.map(({ path }) => path[0])).toEqual([name]);
      }
    }
  });

  it('leaves out what Lambda sets besides', () => {
    const env = schema.parse({ ...validEnv(schema), AWS_REGION: 'eu-west-1', AWS_SESSION_TOKEN: 'secret' });
    expect(Object.keys(env).sort()).toEqual(Object.keys(schema.shape).sort());
  });
});

describe('environment', () => {
  it('takes another service in place of OpenAI only by a URL', () => {
    const env = validEnv(submitEnv);
    expect(submitEnv.safeParse({ ...env, OPENAI_BASE_URL: undefined }).success).toBe(true);
    expect(submitEnv.safeParse({ ...env, OPENAI_BASE_URL: 'openai.internal/v1' }).success).toBe(false);
  });
});
