/** checkov over templates: findings that are not explained in `explained.ts`, and explanations without a finding. */
import { execFile } from 'node:child_process';
import { basename, join } from 'node:path';
import { pythonEnvironment } from '../../../support/python-environment.ts';
import { EXPLAINED } from './explained.ts';

interface Report {
  results: { failed_checks: { check_id: string; check_name: string; resource: string; file_path: string }[] };
  summary: { passed: number; failed: number; parsing_errors: number; checkov_version: string };
}

/** What came of a run. */
export interface Checked {
  version: string;
  passed: number;
  /** Findings that stay, with a reason. */
  explained: number;
  /** What fails the run: one line each. */
  problems: string[];
}

/** @throws if checkov could not run. It asks no service: its policies are those of the package. */
export async function runCheckov(templates: readonly string[]): Promise<Checked> {
  const folder = pythonEnvironment(join(import.meta.dirname, 'requirements.txt'));
  const args = [
    '--framework',
    'cloudformation',
    '--skip-download',
    '--quiet',
    '--compact',
    '--output',
    'json',
  ];
  const text = await run(join(folder, 'checkov'), [
    ...args,
    ...templates.flatMap((path) => ['--file', path]),
  ]);
  const report = JSON.parse(text) as Report;
  const { passed, parsing_errors: unread, checkov_version: version } = report.summary;
  const seen = new Set<string>();
  let explained = 0;
  const problems = unread === 0 ? [] : [`checkov could not read ${unread} templates`];
  for (const { check_id: id, check_name: name, resource, file_path: file } of report.results.failed_checks) {
    const { resources, variants = /^/ } = EXPLAINED[id] ?? {};
    if (resources?.test(resource) && variants.test(basename(file))) {
      seen.add(id);
      explained += 1;
    } else problems.push(`${id} ${resource} (${file}): ${name}`);
  }
  for (const id of Object.keys(EXPLAINED))
    if (!seen.has(id)) problems.push(`${id} is explained and finds nothing any more: remove its explanation`);
  return { version, passed, explained, problems };
}

/** Exits with 1 where it finds something. */
function run(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, [...args], { maxBuffer: 256 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (stdout.startsWith('{')) resolve(stdout);
      else reject(new Error(`checkov failed: ${stderr || error?.message}`, { cause: error }));
    });
  });
}
