# Brier, IPA, AUC and their paired differences by riskRegression (2022.11) on times in whole months,
# with risks that repeat. Makes ipcw.csv and ipcw_R.csv beside itself: Rscript ipcw.R
suppressMessages({library(survival); library(riskRegression)})
set.seed(1)
n <- 120
x <- round(rnorm(n), 1)
z <- round(x + rnorm(n), 1)
dead <- ceiling(rexp(n, exp(x) / 24))
left <- ceiling(runif(n, 3, 60))
d <- data.frame(time = pmin(dead, left), event = as.integer(dead <= left), x = x, z = z)
write.csv(d, "ipcw.csv", row.names = FALSE, quote = FALSE)
times <- c(6, 12, 24, 30)
risk <- function(x) 1 - exp(-outer(exp(x), times / 30))
s <- Score(list(x = risk(d$x), z = risk(d$z)), formula = Surv(time, event) ~ 1, data = d, times = times,
           metrics = c("auc", "brier"), cens.model = "km", null.model = TRUE, summary = "ipa")
rows <- function(metric, table, value, reference = "") data.frame(metric = metric, model = table$model,
  reference = reference, time = table$times, value = table[[value]], se = table$se)
out <- rbind(
  rows("brier", s$Brier$score, "Brier"),
  rows("auc", s$AUC$score, "AUC"),
  rows("brier difference", s$Brier$contrasts, "delta.Brier", s$Brier$contrasts$reference),
  rows("auc difference", s$AUC$contrasts, "delta.AUC", s$AUC$contrasts$reference),
  transform(rows("ipa", s$Brier$score, "IPA"), se = NA))
out$value <- format(out$value, digits = 15)
out$se <- format(out$se, digits = 15)
write.csv(out, "ipcw_R.csv", row.names = FALSE, quote = FALSE)
