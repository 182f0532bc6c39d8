# Reference numbers for tests/survival, run beside agreement.csv:
#   Rscript agreement.R path/to/reference/dca.csv > agreement_R.txt
# R 4.2, survival 3.5, Hmisc 4.8 (rcspline.eval). Simulated: 240 patients, times in even months.
suppressMessages({library(survival); library(Hmisc)})
options(digits = 15, width = 200)
say <- function(label, ...) cat(label, format(c(...), digits = 15, trim = TRUE), "\n")
tight <- coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 100)
d <- read.csv("agreement.csv")
S <- Surv(d$time, d$event)

for (t in c(24, 60)) {
  km <- summary(survfit(S ~ 1), times = t)
  p <- 1 - d[[paste0("s", t)]]
  say(paste0("oe_at ", t), (1 - km$surv) / mean(p))
  say(paste0("km ", t), km$surv, km$std.err)
}
say("oe", sum(d$event) / sum(d$hazard))
fit <- coxph(S ~ d$risk, control = tight)
say("slope", coef(fit), sqrt(vcov(fit)))
fit <- coxph(S ~ d$risk + strata(d$fold), control = tight)
say("slope_strata", coef(fit), sqrt(vcov(fit)))

# survival::royston: D, se(D), R.D, R.KO; the risk as it stands, judged on these patients
fixed <- coxph(Surv(time, event) ~ risk, data = d, init = 1, control = coxph.control(iter.max = 0))
say("royston", royston(fixed, newdata = d)[c("D", "se(D)", "R.D", "R.KO")])

smooth <- function(label, time, event, s, t, k) {
  x <- log(-log(s))
  if (k == 0) basis <- cbind(x) else {
    knots <- rcspline.eval(x, nk = k, knots.only = TRUE, fractied = 0)
    basis <- rcspline.eval(x, knots = knots, inclx = TRUE)
    say(paste(label, "knots"), knots)
  }
  basis <- scale(basis)
  frame <- data.frame(time, event); frame$basis <- basis
  fit <- coxph(Surv(time, event) ~ basis, data = frame, control = tight)
  sf <- survfit(fit, newdata = frame)
  observed <- 1 - as.vector(summary(sf, times = t)$surv)
  away <- abs(observed - (1 - s))
  say(label, mean(away), median(away), quantile(away, 0.9), observed[1:3])
}
for (t in c(24, 60)) for (k in c(3, 4, 5))
  smooth(paste0("smooth ", t, " k", k), d$time, d$event, d[[paste0("s", t)]], t, k)
smooth("two 24", d$time, d$event, ifelse(d$s24 > 0.8, 0.85, 0.65), 24, 0)
few <- d[1:80, ]
smooth("smooth_few 24 k3", few$time, few$event, few$s24, 24, 3)

for (t in c(24, 60)) say(paste0("rmst ", t), survival:::survmean(survfit(S ~ 1), rmean = t)[[1]][c("rmean", "se(rmean)")])
old <- d$fold >= 2
a <- survival:::survmean(survfit(S[old] ~ 1), rmean = 60)[[1]]; b <- survival:::survmean(survfit(S[!old] ~ 1), rmean = 60)[[1]]
say("rmst_difference", a["rmean"] - b["rmean"], sqrt(a["se(rmean)"]^2 + b["se(rmean)"]^2))

# Vickers 2008: KM within the treated
benefit <- function(time, event, p, t, threshold) {
  treated <- p >= threshold
  if (!any(treated)) return(0)
  risk <- 1 - summary(survfit(Surv(time[treated], event[treated]) ~ 1), times = t)$surv
  mean(treated) * (risk - (1 - risk) * threshold / (1 - threshold))
}
for (t in c(24, 60)) for (h in c(0.1, 0.25, 0.5))
  say(paste0("benefit ", t, " ", h), benefit(d$time, d$event, 1 - d[[paste0("s", t)]], t, h), benefit(d$time, d$event, rep(1, nrow(d)), t, h))

# the shared data: continuous times, p the predicted risk at 5
d <- read.csv(commandArgs(trailingOnly = TRUE)[1])
for (k in c(3, 4, 5)) smooth(paste0("dca k", k), d$time, d$event, 1 - d$p, 5, k)
for (h in c(0.2, 0.4, 0.6))
  say(paste0("dca benefit ", h), benefit(d$time, d$event, d$p, 5, h), benefit(d$time, d$event, rep(1, nrow(d)), 5, h))
