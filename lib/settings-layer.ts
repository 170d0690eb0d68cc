import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Stage, Token } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import type { Settings } from '../src/contract/settings.ts';
import { SETTINGS_PATH, settingsFileOf } from '../src/contract/settings-file.ts';
import { InvalidConfigurationError } from './configuration.ts';

/**
 * A layer with the settings as a file (docs/adr/0024). Other settings are another version of it, which rolls back
 * with the stack.
 */
export class SettingsLayer extends lambda.LayerVersion {
  /** @throws InvalidConfigurationError if something in the settings is known only at deployment. */
  constructor(scope: Construct, id: string, settings: Settings, architecture = lambda.Architecture.ARM_64) {
    const content = settingsFileOf(settings);
    if (Token.isUnresolved(content)) {
      throw new InvalidConfigurationError(
        'settings hold a value that is known only when the stack is deployed (a CDK token), but they are written to a file at ' +
          'synth: give plain text.',
      );
    }
    const folder = join(Stage.of(scope)!.assetOutdir, `settings.${scope.node.addr}`);
    const file = join(folder, SETTINGS_PATH);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    super(scope, id, {
      description: 'Settings of batchdrop',
      code: lambda.Code.fromAsset(folder),
      compatibleArchitectures: [architecture],
      compatibleRuntimes: [lambda.Runtime.NODEJS_24_X],
    });
  }
}
