import { Duration } from 'aws-cdk-lib';
import { describe, expect, test } from 'vitest';
import type { BatchPipelineProps } from '../../../lib/batch-pipeline.ts';
import { Budget } from '../../../lib/budget.ts';
import { InvalidConfigurationError, parseSettings } from '../../../lib/configuration.ts';
import { defaultSettings } from '../../../src/contract/settings.ts';
import { parseSettingsFile, settingsFileOf } from '../../../src/contract/settings-file.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { synthesize } from '../../support/synthesize.ts';

function messageOf(props: BatchPipelineProps): string {
  try {
    synthesize(props);
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidConfigurationError);
    return (error as Error).message;
  }
  throw new Error('nothing was refused');
}

describe('synth refuses what cannot work, with the value read and what to do', () => {
  test.each<[string, BatchPipelineProps, string]>([
    [
      'a bucket URL in place of its name',
      { bucketName: 's3://our-prompts' },
      'bucketName is "s3://our-prompts", which is not the name of an S3 bucket (3 to 63 of a-z, 0-9, "." and "-"): ' +
        'give the plain name, without "s3://", path or ARN, or leave it out to have a bucket made.',
    ],
    [
      'a poll interval below a minute',
      { pollInterval: Duration.seconds(30) },
      'pollInterval is 0.5 minutes, expected a whole number of minutes from 1 to 60: ' +
        'give Duration.minutes(n) in that range.',
    ],
    [
      'a poll interval above an hour',
      { pollInterval: Duration.hours(2) },
      'pollInterval is 120 minutes, expected a whole number of minutes from 1 to 60: ' +
        'give Duration.minutes(n) in that range.',
    ],
    [
      'work files that expire before a dead letter does',
      { workExpiration: Duration.days(14) },
      'workExpiration is 14 days, expected a whole number of days from 15 to 365: ' +
        'give Duration.days(n) in that range.',
    ],
    [
      'a reserved concurrency below what the queue sends at a time',
      { maxConcurrency: { submit: 7 }, reservedConcurrency: { submit: 6 } },
      'reservedConcurrency.submit is 6, expected a whole number from 7 to 1000: give one in that range.',
    ],
    [
      'a reserved concurrency of a poll that could never run',
      { reservedConcurrency: { poll: 0 } },
      'reservedConcurrency.poll is 0, expected a whole number from 1 to 1000: give one in that range.',
    ],
    [
      'a concurrency that Lambda does not take',
      { maxConcurrency: { collect: 1 } },
      'maxConcurrency.collect is 1, expected a whole number from 2 to 1000: give one in that range.',
    ],
    [
      'a base URL without TLS',
      { openaiBaseUrl: 'http://llm.example.com/v1' },
      'openaiBaseUrl is "http://llm.example.com/v1", expected an https URL without user, query or fragment, such as ' +
        '"https://api.openai.com/v1": prompts and the API key travel over it.',
    ],
    [
      'a route outside the input prefix',
      { settings: { layout: {}, routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'elsewhere/' }] } },
      'settings are not valid:\n  - route "a" has prefix "elsewhere/", which is not inside "input/"\n' +
        'Read: {"layout":{},"routes":[{"tiers":["batch"],"budget":"unlimited","name":"a","prefix":"elsewhere/"}]}\n' +
        'Fix them and run synth again.',
    ],
  ])('refuses %s', (_, props, message) => {
    expect(messageOf(props)).toBe(message);
  });

  test.each(['Our-Prompts', 'ab', 'a/b', 'arn:aws:s3:::our-prompts', `${'a'.repeat(64)}`, '-a-'])(
    'refuses "%s" as the name of a bucket',
    (bucketName) => {
      expect(messageOf({ bucketName })).toContain(JSON.stringify(bucketName));
    },
  );

  test.each([
    'api.openai.com',
    'ftp://example.com',
    'https://user:pass@example.com/v1',
    'https://example.com?a=b',
  ])('refuses "%s" as the base URL', (openaiBaseUrl) => {
    expect(messageOf({ openaiBaseUrl })).toContain(JSON.stringify(openaiBaseUrl));
  });

  test('refuses a base URL beside data residency, and the address of a region in place of it', () => {
    const settings = {
      routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'input/' }],
      dataResidency: { default: 'eu' as const },
    };
    expect(messageOf({ settings, openaiBaseUrl: 'https://llm.example.com/v1' })).toBe(
      'openaiBaseUrl is "https://llm.example.com/v1", and the settings say dataResidency (default: eu, which is ' +
        'https://eu.api.openai.com/v1): two addresses for one API key; leave one of them out.',
    );
    expect(messageOf({ openaiBaseUrl: 'https://eu.api.openai.com/v1' })).toContain(
      'say it in the settings instead, {"dataResidency": {"default": "eu"}}',
    );
  });

  test('refuses a prefix that batchdrop writes inside the one that people write', () => {
    const settings = {
      layout: { work: 'input/work/' },
      routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'input/' }],
    };
    expect(messageOf({ settings })).toContain(
      'the prefixes input ("input/") and work ("input/work/") overlap',
    );
  });

  test('names the path of a bad value and lists every problem at once', () => {
    const settings = {
      layout: {},
      routes: [
        { ...BATCH_ONLY, name: 'Not A Name', prefix: 'input/' },
        { ...BATCH_ONLY, name: 'b', prefix: 'input' },
      ],
    };
    const message = messageOf({ settings });
    expect(message).toContain(
      '  - routes.0.name: a route name has 1 to 40 of a-z, 0-9 and "-"; read "Not A Name"\n',
    );
    expect(message).toContain(
      '  - routes.1.prefix: a prefix is a plain S3 key path that ends with "/"; read "input"\n',
    );
  });
});

test('settings that name nothing are the defaults', () => {
  expect(parseSettings(undefined)).toEqual(defaultSettings());
});

test('settings survive the way through the file that the functions read', () => {
  const settings = parseSettings({
    layout: { input: 'in/' },
    routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'in/a/' }],
  });
  expect(parseSettingsFile(settingsFileOf(settings))).toEqual(settings);
});

test('takes budgets and deadlines as CDK people write them', () => {
  const routes = [
    { name: 'a', prefix: 'input/a/', tiers: ['batch' as const], budget: Budget.perJobAndDay('12.50', 100) },
    {
      name: 'b',
      prefix: 'input/b/',
      tiers: ['batch' as const, 'standard' as const],
      budget: Budget.unlimited(),
      deadline: Duration.hours(2),
    },
  ];
  const settings = parseSettings({ routes });
  expect(settings.routes[0]).toMatchObject({
    budget: { perJobUsd: '12.50', perDayUsd: '100' },
    overBudget: 'wait',
  });
  expect(settings.routes[1]).toMatchObject({ budget: 'unlimited', deadline: '120m' });
  expect(parseSettings(JSON.parse(JSON.stringify(settings)))).toEqual(settings);
  expect(() => parseSettings({ routes: [{ ...routes[1]!, deadline: Duration.seconds(90) }] })).toThrow(
    /deadline is a duration from the drop.*read "1\.5m"/,
  );
});
