// How an ossec.conf is looked up: sections below its roots, the last child of a name, and where it stands.
import type { Element, XmlDocument } from './xml.ts';

const ROOTS = ['ossec_config', 'agent_config'];

/** All `<ossec_config>` of a file are one configuration. */
export function sectionsOf({ roots }: XmlDocument): Element[] {
  return roots.filter(({ name }) => ROOTS.includes(name)).flatMap(({ children }) => children);
}

/** As the daemons have it: the last one counts. */
export function child(element: Element | undefined, name: string): Element | undefined {
  return element?.children.findLast((one) => one.name === name);
}

export function valueOf(element: Element | undefined, name: string): string {
  return child(element, name)?.text ?? '';
}
