import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ALARMS, type AlarmName, type AlarmRow, describeAlarm } from '../../../src/contract/alarms.ts';
import { EVENTS, type EventRow } from '../../../src/contract/events.ts';

const ROWS = Object.entries(ALARMS) as [AlarmName, AlarmRow][];
const METRICS = (Object.values(EVENTS) as EventRow[]).flatMap(({ metrics = [] }) => metrics);
const RUNBOOK = readFileSync(join(import.meta.dirname, '../../../docs/runbook.md'), 'utf8');

/** The sections of the runbook's part of alarms, by heading. */
function sectionsOf(text: string): Map<string, string> {
  const [, alarms = ''] = text.split('\n## Alarms\n');
  const [part = ''] = alarms.split(/\n## /);
  const sections = part.split(/^### /m).slice(1);
  return new Map(
    sections.map((section) => [
      section.slice(0, section.indexOf('\n')),
      section.slice(section.indexOf('\n')),
    ]),
  );
}

describe('the table of alarms', () => {
  test.each(ROWS)(
    '%s says what is the case, what it costs and why missing data counts as it does',
    (name, row) => {
      expect(name).toMatch(/^[a-z]+(-[a-z]+)+$/);
      for (const text of [row.meaning, row.impact, row.missing.because]) expect(text).toMatch(/^[A-Z].*\.$/);
      const description = describeAlarm(name, 'https://runbooks.example.com/batchdrop');
      expect(description.length).toBeLessThan(1_000);
      expect(description).toMatch(new RegExp(`^Severity: ${row.severity}\\. .*#${name}$`));
    },
  );

  test.each(ROWS)(
    '%s looks at metrics without another dimension, one period of which fits into a day',
    (_, row) => {
      const { watches, periodMinutes = 60, periods = 1 } = row;
      const names =
        'metric' in watches ? [watches.metric, ...('dividedBy' in watches ? [watches.dividedBy] : [])] : [];
      for (const name of names) {
        const found = METRICS.filter((metric) => metric.name === name);
        expect(found.length, name).toBeGreaterThan(0);
        expect(found.filter(({ by }) => by !== undefined)).toEqual([]);
      }
      // CloudWatch: all periods of an alarm together are a day at the most.
      expect(periods * periodMinutes).toBeLessThanOrEqual(24 * 60);
    },
  );

  test('counts an event by its sum and takes a state by its highest value', () => {
    const sampled = new Set<string>(EVENTS['pipeline.sampled'].metrics.map(({ name }) => name));
    for (const [name, { watches, statistic, missing }] of ROWS) {
      if (!('metric' in watches) || watches.metric === 'Polls') continue;
      if (sampled.has(watches.metric))
        expect([name, statistic, missing.as]).toEqual([name, 'Maximum', 'ignore']);
      else expect([name, missing.as]).toEqual([name, 'notBreaching']);
    }
  });
});

describe('the runbook', () => {
  const sections = sectionsOf(RUNBOOK);

  test('has one section for each alarm, with its name, and no other', () => {
    expect([...sections.keys()].sort()).toEqual(Object.keys(ALARMS).sort());
  });

  test.each(ROWS)('%s: describes it, its impact, what to look at and what to do, with commands', (name) => {
    const section = sections.get(name)!;
    const parts = [...section.matchAll(/^\*\*(\w+)\.\*\*/gm)].map(([, part]) => part);
    expect(parts).toEqual(['Description', 'Impact', 'Investigation', 'Resolution']);
    const [, investigation = '', resolution = ''] = section.split(/^\*\*(?:Investigation|Resolution)\.\*\*/m);
    for (const text of [investigation, resolution]) expect(text.trim().length, name).toBeGreaterThan(20);
    expect(investigation).toContain('```sh\n');
  });
});
