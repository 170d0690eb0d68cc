/** `npm run test:templates`: cfn-lint and checkov over the template of each variant; any finding that is not explained fails. */
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { pythonEnvironment } from '../../support/python-environment.ts';
import { writeVariants } from '../../support/variants.ts';
import { runCheckov } from './checkov/checkov.ts';
import { RESOURCE_HANDLERS } from './resource-handlers.ts';

/** Rules that are left out, and why. */
const IGNORED = {
  W3005: 'CDK says also by DependsOn that a function comes after its role, which changes nothing.',
};

const programs = pythonEnvironment(join(import.meta.dirname, 'requirements.txt'));
const cfnLint = join(programs, 'cfn-lint');
const templates = [...writeVariants().values()];
const shares = Object.values(
  Object.groupBy(templates, (path) => String(templates.indexOf(path) % availableParallelism())),
);
const findings = (await Promise.all(shares.map((paths) => lint(paths!)))).filter((text) => text !== '');
process.stdout.write(findings.join('\n'));
const version = /cfn-lint (\S+)/.exec(await run(['--version']))?.[1];
const says = findings.length === 0 ? 'finds nothing' : 'has findings';
process.stdout.write(`cfn-lint ${version} ${says} in the templates of ${templates.length} variants\n`);
const { version: checkov, passed, explained, problems } = await runCheckov(templates);
process.stdout.write(problems.map((problem) => `${problem}\n`).join(''));
process.stdout.write(
  `checkov ${checkov}: ${passed} checks passed, ${explained} findings are explained, ${problems.length} are not\n`,
);
const outdated = await outdatedHandlers();
process.stdout.write(
  outdated
    .map((type) => `test/system/templates/resource-handlers.ts is not what cfn-lint has of ${type}\n`)
    .join(''),
);
process.exitCode = findings.length === 0 && problems.length === 0 && outdated.length === 0 ? 0 : 1;

/** Types of resources whose handlers, of which docs/roles.md is made, are no longer those of AWS's schemas. */
async function outdatedHandlers(): Promise<string[]> {
  const script = join(import.meta.dirname, 'handlers.py');
  const printed = await run([script, ...Object.keys(RESOURCE_HANDLERS)], join(programs, 'python'));
  const found = JSON.parse(printed) as Record<string, object>;
  return Object.keys(RESOURCE_HANDLERS).filter(
    (type) => !isDeepStrictEqual(RESOURCE_HANDLERS[type], found[type]),
  );
}

/** What cfn-lint says of these templates; empty if nothing. */
function lint(paths: readonly string[]): Promise<string> {
  return run(['--ignore-checks', ...Object.keys(IGNORED), '--', ...paths]);
}

/** What it printed. @throws if it could not run, or said nothing of why it failed. */
function run(args: readonly string[], program = cfnLint): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, [...args], { maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error !== null && stdout === '')
        reject(new Error(`${program} failed: ${stderr || error.message}`, { cause: error }));
      else resolve(stdout);
    });
  });
}
