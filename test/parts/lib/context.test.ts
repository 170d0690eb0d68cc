import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RemovalPolicy } from 'aws-cdk-lib';
import { expect, onTestFinished, test } from 'vitest';
import { contextToStackProps, refuseUnknownContext } from '../../../bin/context.ts';
import { InvalidConfigurationError, parseSettings } from '../../../lib/configuration.ts';
import { BATCH_ONLY } from '../../support/routes.ts';

const propsOf = (context: Record<string, unknown>) => contextToStackProps((key) => context[key]);

test('without context the stack is named batchdrop and keeps what it holds', () => {
  expect(propsOf({})).toEqual({ stackName: 'batchdrop', removalPolicy: RemovalPolicy.RETAIN });
});

test('what is given on the command line arrives', () => {
  const { pollInterval, ...rest } = propsOf({
    stackName: 'batchdrop-dev',
    bucketName: 'our-prompts',
    pollMinutes: '2',
    removal: 'destroy',
    openaiBaseUrl: 'https://llm.example.com/v1',
    settings: JSON.stringify({ layout: {}, routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'input/' }] }),
  });
  expect(pollInterval?.toMinutes()).toBe(2);
  expect(rest).toMatchObject({
    stackName: 'batchdrop-dev',
    bucketName: 'our-prompts',
    removalPolicy: RemovalPolicy.DESTROY,
    openaiBaseUrl: 'https://llm.example.com/v1',
    settings: { routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'input/', maxTries: 3 }] },
  });
});

test('alarms are off, or tell a topic, and the dashboard and the policies are off; anything else is refused', () => {
  const topicArn = 'arn:aws:sns:us-east-1:111122223333:on-call';
  expect(propsOf({ alarms: topicArn }).alarms).toEqual({ topicArn });
  const off = { alarms: 'off', dashboard: 'off', policies: 'off' };
  expect(propsOf(off)).toMatchObject({ alarms: false, dashboard: false, policies: false });
  expect(() => propsOf({ alarms: 'on-call' })).toThrow(
    'context alarms is "on-call", expected the ARN of an SNS topic, or "off"',
  );
  expect(() => propsOf({ dashboard: 'on' })).toThrow('context dashboard is "on", expected "off"');
});

test('fails for a name that is not read, and says which there are; names of other tools are left alone', () => {
  expect(() =>
    refuseUnknownContext(['aws:cdk:version', '@aws-cdk/core:x', 'cli-telemetry', 'removal']),
  ).not.toThrow();
  expect(() => refuseUnknownContext(['removal', 'pollMinute'])).toThrow(
    /^context pollMinute is not known here; the names are stackName, .*pollMinutes/,
  );
  expect(() => refuseUnknownContext(['pollMinute'])).toThrow(InvalidConfigurationError);
});

test('settings may be the path of a file or an object in cdk.json', () => {
  const settings = { layout: {}, routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'input/' }] };
  const folder = mkdtempSync(join(tmpdir(), 'batchdrop-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'settings.json'), JSON.stringify(settings));
  expect(propsOf({ settings: join(folder, 'settings.json') }).settings).toEqual(parseSettings(settings));
  expect(propsOf({ settings }).settings).toEqual(settings);
});

test('an empty value, as an unset shell variable leaves one, counts as none', () => {
  const empty = {
    stackName: '',
    bucketName: '',
    pollMinutes: '',
    removal: '',
    openaiBaseUrl: '',
    settings: '',
  };
  expect(propsOf(empty)).toEqual(propsOf({}));
});

test.each<[string, Record<string, unknown>, string]>([
  [
    'a poll interval that is no number',
    { pollMinutes: 'often' },
    'context pollMinutes is "often", expected a whole number from 1 to 60: pass for example -c pollMinutes=5',
  ],
  [
    'a poll interval out of range',
    { pollMinutes: 61 },
    'context pollMinutes is 61, expected a whole number from 1 to 60: pass for example -c pollMinutes=5',
  ],
  [
    'an unknown removal',
    { removal: 'delete' },
    'context removal is "delete", expected "retain" or "destroy": pass for example -c removal=destroy',
  ],
  [
    'a stack name that CloudFormation does not take',
    { stackName: '1st_stack' },
    'context stackName is "1st_stack", expected a letter, then letters, digits and "-": ' +
      'pass for example -c stackName=batchdrop-dev',
  ],
  [
    'a bucket name that is no text',
    { bucketName: 7 },
    'context bucketName is 7, expected text: pass for example -c bucketName=my-bucket',
  ],
])('refuses %s', (_, context, message) => {
  expect(() => propsOf(context)).toThrow(new InvalidConfigurationError(message));
});

test('refuses settings that are no JSON or not valid, and a file that is not there, naming the file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'batchdrop-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'routes.json');
  writeFileSync(path, '{"routes": [{"name": "a"}]}');
  expect(() => propsOf({ settings: path })).toThrow(
    new RegExp(`^${path} holds settings that are not valid:\n {2}- routes\\.0\\.prefix: .*read nothing`),
  );
  expect(() => propsOf({ settings: '{routes' })).toThrow(
    /^context settings is not JSON: line 1, column 2: Expected property name/,
  );
  expect(() => propsOf({ settings: 'no-such-file.json' })).toThrow(
    /^context settings is "no-such-file.json", which was taken for the path of a JSON file and could not be read: ENOENT/,
  );
});
