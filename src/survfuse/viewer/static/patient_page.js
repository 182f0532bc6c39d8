// Starts the page about a patient, with data from the server.

import { byId, make } from "./dom.js";
import { PatientPage } from "./patient.js";
import { ServerSource } from "./source.js";

const patient = new URLSearchParams(location.search).get("patient") || "";
const page = new PatientPage(new ServerSource(patient));
page.open().then(() => {
  if (page.about.has_page) {
    const address = `/page?${new URLSearchParams({ patient })}`;
    byId("links").append(" · ", make("a", { href: address }, "Whole page about this patient"));
  }
}).catch((error) => page.refuse(error.message));
