/** Layers of functions: what Lambda puts below `/opt`. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { LAYER_ROOT } from '../../src/contract/settings-file.ts';
import type { NamedTemplate } from './names.ts';
import type { SynthesizedStack } from './template.ts';

/**
 * Folders of the layers of a function, in the order in which Lambda lays them over each other.
 * @param layers their physical names, as the function's properties have them.
 * @throws for a layer that is not in the stack
 */
export function layerFolders(
  layers: readonly string[],
  named: NamedTemplate,
  stack: SynthesizedStack,
): string[] {
  return layers.map((layer) => {
    const found = named.resourcesOf('AWS::Lambda::LayerVersion').find(({ name }) => name === layer);
    const { Content } = (found?.properties ?? {}) as { Content?: { S3Key?: string } };
    if (Content?.S3Key === undefined)
      throw new Error(`${layer} is no layer with an asset in the stack: the local stack mounts no other.`);
    return stack.assetFolder(Content.S3Key);
  });
}

/**
 * Lambda puts the files of layers below `/opt`. Nothing on this machine may: variables that name a file there name
 * the file of the layer instead, of the last one that has it.
 */
export function mountLayers(
  variables: Record<string, string>,
  layers: readonly string[],
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => {
      if (!value.startsWith(LAYER_ROOT)) return [name, value];
      const path = value.slice(LAYER_ROOT.length);
      const layer = layers.findLast((folder) => existsSync(join(folder, path)));
      return [name, layer === undefined ? value : join(layer, path)];
    }),
  );
}
