/** CloudFormation as far as stacks are looked up in it: DescribeStacks, a page at a time, and ListStackResources of the query protocol. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A deployed stack. */
export interface DescribedStack {
  name: string;
  description?: string;
  outputs?: Record<string, string>;
  resources?: readonly { type: string; physicalId: string }[];
}

/** Serves the stacks. Everyone who asks is answered. */
export async function startCloudFormation(
  stacks: readonly DescribedStack[],
): Promise<{ endpoint: string; close(): Promise<void> }> {
  const server = createServer(async (request, response) => {
    const form = new URLSearchParams((await Array.fromAsync(request)).join(''));
    const wanted = form.get('StackName');
    const found = stacks.filter(({ name }) => wanted === null || name === wanted);
    response.setHeader('content-type', 'text/xml');
    if (wanted !== null && found.length === 0) {
      const message = `Stack with id ${wanted} does not exist`;
      response.writeHead(400).end(errorOf('ValidationError', message));
      return;
    }
    if (form.get('Action') === 'ListStackResources') {
      response.end(resourcesOf(found[0]!));
      return;
    }
    const page = Number(form.get('NextToken') ?? '0');
    const next = page + 1 < found.length ? `<NextToken>${page + 1}</NextToken>` : '';
    const members = found
      .slice(page, page + 1)
      .map(stackOf)
      .join('');
    response.end(
      `<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult>` +
        `<Stacks>${members}</Stacks>${next}</DescribeStacksResult></DescribeStacksResponse>`,
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

function stackOf({ name, description = '', outputs = {} }: DescribedStack): string {
  const members = Object.entries(outputs).map(
    ([key, value]) => `<member><OutputKey>${key}</OutputKey><OutputValue>${value}</OutputValue></member>`,
  );
  return `<member><StackName>${name}</StackName><Description>${description}</Description><Outputs>${members.join('')}</Outputs></member>`;
}

function resourcesOf({ resources = [] }: DescribedStack): string {
  const members = resources.map(
    ({ type, physicalId }) =>
      `<member><ResourceType>${type}</ResourceType><PhysicalResourceId>${physicalId}</PhysicalResourceId></member>`,
  );
  return (
    `<ListStackResourcesResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><ListStackResourcesResult>` +
    `<StackResourceSummaries>${members.join('')}</StackResourceSummaries></ListStackResourcesResult></ListStackResourcesResponse>`
  );
}

function errorOf(code: string, message: string): string {
  return `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error></ErrorResponse>`;
}
